"""Pictograms of unit types, drawn on 36 by 36 points in the current stroke color."""

from __future__ import annotations

_ICONS = {
    "loss_in_weight_feeder": '<path d="M5 4H27L21 18H11z"/><path d="M11 18V24H33"/><path d="M11 30H33"/>'
    '<path d="M11 24V30M15 30L19 24M20 30L24 24M25 30L29 24"/>'
    '<path d="M8 34H24" stroke-width="2.6"/>',
    "continuous_blender": '<rect x="2" y="10" width="32" height="16" rx="8"/>'
    '<path d="M5 18H31"/><path d="M9 13V23M15 13V23M21 13V23M27 13V23"/>'
    '<path d="M8 10V4M28 26V32"/>',
    "dispersion_blender": '<rect x="2" y="10" width="32" height="16" rx="8"/><path d="M8 10V4M28 26V32"/>'
    '<path d="M8 18H28M24 14L28 18L24 22"/><path d="M12 18C12 13 16 13 16 18S20 23 20 18" stroke-width="1.2"/>',
    "delumper": '<path d="M5 5H31L22 27H14z"/><path d="M18 2V21M12 12H24M14 18H22"/>'
    '<path d="M15 30V34M21 30V34" stroke-dasharray="1.5 1.5"/>',
    "conical_mill": '<path d="M4 4H32L24 28H12z"/><path d="M9 4L15 28M27 4L21 28" stroke-dasharray="1.5 2"/>'
    '<path d="M18 1V22M13 10H23M14 17H22"/><path d="M13 32H23" stroke-dasharray="1.5 2"/>',
    "fluid_bed_dryer": '<path d="M4 3V27M32 3V27"/><path d="M4 27H32" stroke-dasharray="2 2"/><path d="M10 34V29M18 34V29M26 34V29"/>'
    '<circle cx="10" cy="20" r="2"/><circle cx="18" cy="14" r="2"/><circle cx="26" cy="19" r="2"/><circle cx="24" cy="9" r="2"/>',
    "chute": '<path d="M3 5L27 26H34M3 13L25 32H34"/><circle cx="9" cy="14" r="1.3"/><circle cx="16" cy="20" r="1.3"/>'
    '<circle cx="23" cy="26" r="1.3"/>',
    "hopper": '<path d="M5 3V15L15 28V34M31 3V15L21 28V34"/><path d="M5 10H31M18 13V24M15 21L18 24L21 21"/>',
    "feed_frame": '<path d="M14 2V8M22 2V8"/><path d="M3 8H33V26H3z"/><path d="M11 12V22M6 17H16M25 12V22M20 17H30"/><path d="M25 26V33"/>',
    "tablet_press": '<path d="M13 2H23V11H13z"/><path d="M4 14H13V22H4zM23 14H32V22H23z"/>'
    '<path d="M13 25H23V34H13z"/><rect x="14" y="15" width="8" height="6" rx="3"/>',
    "twin_screw_granulator": '<rect x="2" y="12" width="32" height="14" rx="2"/><path d="M6 12L12 26M12 12L18 26M18 12L24 26M24 12L30 26"/>'
    '<path d="M7 4V12M29 26V33"/><circle cx="18" cy="6" r="2"/>',
    "liquid_source": '<path d="M4 6V32H22V6M4 16H22"/><path d="M22 26H34M29 21L34 26L29 31"/>',
    "liquid_sink": '<path d="M8 8V33H30V8M8 20H30"/><path d="M19 2V16M14 11L19 16L24 11"/>',
    **dict.fromkeys(
        (
            "bioreactor",
            "bioreactor_monod",
            "bioreactor_overflow",
            "bioreactor_penicillin",
            "bioreactor_cho_batch",
            "bioreactor_cho_fed_batch",
        ),
        '<path d="M7 8H29V27Q29 33 18 33Q7 33 7 27z"/><path d="M7 15H29M18 3V26M12 26H24"/>'
        '<circle cx="12" cy="21" r="1.5"/><circle cx="24" cy="20" r="1.5"/>',
    ),
    "dissolution_tester": '<path d="M7 5V24Q7 33 18 33Q29 33 29 24V5M7 12H29"/><path d="M18 2V24M12 21V27H24V21z"/>'
    '<circle cx="12.5" cy="17" r="1.2"/><circle cx="24" cy="16" r="1.2"/>',
    "weibull_dissolution": '<path d="M5 4V31H33"/><path d="M5 31C9 14 16 9 32 8"/><path d="M5 8H10M13 8H17M20 8H24" stroke-width="1"/>',
    "tablet_tester": '<path d="M4 16Q4 9 18 9Q32 9 32 16V20Q32 27 18 27Q4 27 4 20z"/><path d="M11 17L16 22L26 12"/>',
    "source": '<circle cx="18" cy="18" r="14"/><path d="M10 18H25M19 11L26 18L19 25"/>',
    "sink": '<path d="M4 10V32H32V10"/><path d="M18 3V22M11 16L18 23L25 16"/>',
    "mixer": '<path d="M3 8H12L20 18H33M3 28H12L20 18"/><path d="M27 12L33 18L27 24"/>',
    "splitter": '<path d="M3 18H16L24 8H33M16 18L24 28H33"/><path d="M28 4L33 8L28 12M28 24L33 28L28 32"/>',
    "diverter": '<path d="M3 12H33M27 7L33 12L27 17"/><path d="M14 12L24 28V33M19 28L24 33L29 28" stroke-dasharray="3 2"/>',
    "pid": '<circle cx="18" cy="18" r="15"/><path d="M8 24H14C16 24 16 11 19 11S22 18 24 18H29"/>',
    "sensor": '<circle cx="18" cy="20" r="13"/><path d="M18 20L25 13M9 20H11M18 9V11M25 20H27"/>',
    "ratio": '<circle cx="18" cy="18" r="15"/><path d="M10 26L26 10M12 11V17M9 14H15M21 24H27"/>',
}

_ANY = '<rect x="5" y="5" width="26" height="26" rx="4"/><path d="M5 14H31M14 14V31"/>'


def icon(unit_type: str) -> str:
    """Return the SVG shapes of a unit type; a plain one for a type from elsewhere."""
    return _ICONS.get(unit_type, _ANY)
