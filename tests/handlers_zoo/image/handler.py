"""An image classifier with its own transforms and output."""

from torchvision import transforms
from ts.torch_handler.image_classifier import ImageClassifier


class DigitHandler(ImageClassifier):
    image_processing = transforms.Compose(
        [transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))]
    )

    def __init__(self):
        super(DigitHandler, self).__init__()
        self.profiler_args = {"record_shapes": True}

    def postprocess(self, data):
        return data.argmax(1).tolist()
