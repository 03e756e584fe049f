"""tilegrad.models: the networks of the course, small enough to read and to train on a CPU."""

from .char_rnn import CharRnn
from .gpt import GPTMini
from .lenet import LeNet
from .resnet import PlainMini, ResNetMini
from .sampling import next_token
from .vit import ViTMini

__all__ = ["CharRnn", "GPTMini", "LeNet", "PlainMini", "ResNetMini", "ViTMini", "next_token"]
