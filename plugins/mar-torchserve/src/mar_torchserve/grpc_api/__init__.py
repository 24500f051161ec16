"""TorchServe's three gRPC services, by grpcio, on the same models as HTTP's."""

from __future__ import annotations
