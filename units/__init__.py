"""Unit operations of pharmaceutical manufacturing: one Pyomo DAE block per file, and the streams between them.

======================= ==================================================
``units.unit``          what every unit promises: parameters, ports, inventory
``units.stream``        what a stream is; powder streams and materials
``units.laws``          constitutive laws that units share
``units.source``        ``Source``
``units.sink``          ``Sink``
``units.feeder``        ``LossInWeightFeeder``
``units.blender``       ``ContinuousBlender``
``units.press``         ``TabletPress``
``units.liquid``        liquid streams and what liquids hold
``units.liquid_source`` ``LiquidSource``
``units.liquid_sink``   ``LiquidSink``
``units.bioreactor``    ``Bioreactor``, a vessel without reactions
``units.vessel``        what an engineer gives to a stirred vessel
``units.kinetics``      kinetics with their bioreactors
======================= ==================================================
"""
