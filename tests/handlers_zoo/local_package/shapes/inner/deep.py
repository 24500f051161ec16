from .. import geometry
from . import NAME


def depth():
    return [NAME, geometry.area(2)]
