"""A soak: many clients, workers that are killed, models that are swapped, rubbish in between.

Twenty seconds here; ``MAR_SOAK_SECONDS=600`` makes it the long one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import signal
import time

import httpx
import psutil
import pytest
import serving
import serving_handlers as handlers

SECONDS = float(os.environ.get("MAR_SOAK_SECONDS", "20"))
CLIENTS = 64
KILL_EVERY = min(10.0, SECONDS / 4)
SWAP_EVERY = min(20.0, SECONDS / 3)
RUBBISH_IN = 50
# The long soak is long rather than fast: it shares its machine with others.
THINKING = float(os.environ.get("MAR_SOAK_THINKING", "0.5"))
TEXT = {"content-type": "text/plain"}


class Soak:
    """What happened."""

    def __init__(self, server, archives):
        self.server, self.archives = server, archives
        self.right, self.wrong, self.rubbish = 0, [], 0
        self.kills, self.swaps = 0, 0
        self.versions = set()
        self.until = time.monotonic() + SECONDS

    @property
    def goes_on(self):
        return time.monotonic() < self.until

    async def run(self):
        clients = [self.client(number) for number in range(CLIENTS)]
        await asyncio.gather(*clients, self.kill(), self.swap())

    async def client(self, number):
        chance = random.Random(number)
        options = {"base_url": self.server.inference, "timeout": 120.0, "trust_env": False}
        async with httpx.AsyncClient(**options) as client:
            while self.goes_on:
                if chance.randrange(RUBBISH_IN) == 0:
                    await self.send_rubbish(client, chance)
                else:
                    await self.ask(client, f"{number}-{chance.random()}")
                await asyncio.sleep(chance.random() * THINKING)

    async def ask(self, client, word):
        answer = await client.post("/predictions/echo", content=word, headers=TEXT)
        if answer.status_code == 200 and answer.json()["value"] == word:
            self.right += 1
            self.versions.add(answer.json()["version"])
        else:
            self.wrong.append((word, answer.status_code, answer.text))

    async def send_rubbish(self, client, chance):
        self.rubbish += 1
        kind = chance.randrange(5)
        if kind == 0:
            assert (await client.post("/predictions/echo", content="raise", headers=TEXT)).is_error
        elif kind == 1:
            assert (await client.get("/predictions/nobody")).status_code == 404
        elif kind == 2:
            headers = {"content-encoding": "gzip"}
            answer = await client.post("/predictions/echo", content=b"x", headers=headers)
            assert answer.status_code == 400
        else:
            await self.send_bytes(chance, leave=kind == 3)

    async def send_bytes(self, chance, *, leave):
        port = int(self.server.inference.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = b"POST /predictions/echo HTTP/1.1\r\nhost: x\r\ncontent-length: 20\r\n\r\nabc"
        writer.write(head if leave else chance.randbytes(200))
        if not leave:
            await asyncio.wait_for(reader.read(), 60)
        writer.close()

    async def kill(self):
        while self.goes_on:
            await asyncio.sleep(KILL_EVERY)
            pids = [w["pid"] for w in await asyncio.to_thread(self.server.workers, "echo")]
            for pid in [pid for pid in pids if pid > 0][:1]:
                with contextlib.suppress(ProcessLookupError):  # it has been swapped meanwhile
                    os.kill(pid, signal.SIGKILL)
                    self.kills += 1

    async def swap(self):
        while self.goes_on:
            await asyncio.sleep(SWAP_EVERY)
            self.swaps += 1
            fresh = self.archives[self.swaps % len(self.archives)]
            part = self.server.folder / "part"
            shutil.copy(fresh, part)
            part.rename(self.server.folder / "echo.mar")
            self.server.process.send_signal(signal.SIGHUP)


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 240)
def test_every_sound_request_gets_its_own_answer(tmp_path):
    archives = [handlers.make(tmp_path / v, "echo", version=v) for v in ("1.0", "2.0")]
    echo = tmp_path / "echo.mar"
    shutil.copy(archives[0], echo)
    words = [echo, "--workers", "2", "--batch-size", "8", "--max-batch-delay", "5"]
    with serving.running(*words, folder=tmp_path) as server:
        me = psutil.Process(server.process.pid)
        soak = Soak(server, archives)
        before = me.memory_info().rss
        files = me.num_fds()
        asyncio.run(soak.run())
        serving.eventually(lambda: server.workers("echo")[0]["status"] == "READY")
        serving.eventually(lambda: me.num_fds() <= files + 4)
        grown = me.memory_info().rss - before
        family = me.children(recursive=True)
        assert server.end() == 0
    assert soak.wrong == []
    assert soak.right > SECONDS * CLIENTS / (THINKING + 2)
    assert soak.rubbish > 0
    assert soak.kills > 1
    assert soak.versions == {"1.0", "2.0"}
    assert grown < 40 << 20, f"{grown >> 20} MiB more"
    assert psutil.wait_procs(family, timeout=30)[1] == []
    assert "could not be" not in server.log
