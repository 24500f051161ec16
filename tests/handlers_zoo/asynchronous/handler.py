"""An async handler, as the ones for LLM engines are: what it makes is bound to one event loop."""

import asyncio

from ts.torch_handler.base_handler import BaseHandler


class AsyncHandler(BaseHandler):
    def initialize(self, context):
        self.lock = None
        self.loop = None
        self.initialized = True

    async def handle(self, data, context):
        if self.lock is None:
            self.lock = asyncio.Lock()
            self.loop = asyncio.get_running_loop()
        prepared = await self.preprocess(data)
        async with self.lock:
            await asyncio.sleep(0)
            same = self.loop is asyncio.get_running_loop()
        return [[value, same] for value in prepared]

    async def preprocess(self, data):
        return [row.get("data") or row.get("body") for row in data]
