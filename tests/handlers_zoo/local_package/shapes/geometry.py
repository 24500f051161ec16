from utils import double


def area(side):
    return double(side) * side / 2
