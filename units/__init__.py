"""Unit operations of pharmaceutical manufacturing: one Pyomo DAE block per file, and the streams between them.

======================= ==================================================
``units.unit``          what every unit promises: parameters, ports, inventory
``units.stream``        powder streams and materials
``units.laws``          constitutive laws that units share
``units.source``        ``Source``
``units.sink``          ``Sink``
``units.feeder``        ``LossInWeightFeeder``
``units.blender``       ``ContinuousBlender``
``units.press``         ``TabletPress``
======================= ==================================================
"""
