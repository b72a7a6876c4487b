"""Imported by a file that lies beside it."""

from torch import nn


def conv_block(c_in, c_out, kernel):
    return nn.Sequential(nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2), nn.LeakyReLU(0.1))
