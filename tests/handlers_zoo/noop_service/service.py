"""Multi Model Server's pattern: a class, and a module-level handle with one instance of it."""


class NoopService(object):
    def __init__(self):
        self._context = None
        self.initialized = False

    def initialize(self, context):
        self.initialized = True
        self._context = context

    def preprocess(self, data):
        return data

    def inference(self, data):
        return ["OK"] * len(data)

    def postprocess(self, data):
        content_type = self._context.request_processor[0].get_request_property("Content-type")
        self._context.set_response_content_type(0, content_type or "text/plain")
        self._context.request_processor[0].add_response_property("seen", "yes")
        self._context.request_processor[len(data) - 1].report_status(202, "Noted")
        return data

    def handle(self, data, context):
        self._context = context
        return self.postprocess(self.inference(self.preprocess(data)))


_service = NoopService()


def handle(data, context):
    if not _service.initialized:
        _service.initialize(context)
    if data is None:
        return None
    return _service.handle(data, context)
