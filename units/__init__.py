"""Unit operations of pharmaceutical manufacturing: one Pyomo DAE block per file, and the streams between them."""

from units.blender import ContinuousBlender
from units.feeder import LossInWeightFeeder
from units.press import TabletPress
from units.sink import Sink
from units.source import Source
from units.stream import Material, add_powder_port
from units.unit import Parameter, UnitBlock

__all__ = [
    "ContinuousBlender",
    "LossInWeightFeeder",
    "Material",
    "Parameter",
    "Sink",
    "Source",
    "TabletPress",
    "UnitBlock",
    "add_powder_port",
]
