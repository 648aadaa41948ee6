"""What grows, eats and makes in a bioreactor: rates from concentrations, temperature and pH, one model per file.

=============================== ==================================================
``units.kinetics.kinetics``     what every kinetics promises
``units.kinetics.monod``        ``Monod``: one substrate, growth with a product
``units.kinetics.penicillin``   ``Penicillin``: Birol et al. 2002
``units.kinetics.cho_batch``    ``ChoBatch``: Craven et al. 2012
``units.kinetics.cho_fed``      ``ChoFedBatch``: Kotidis et al. 2019
=============================== ==================================================
"""
