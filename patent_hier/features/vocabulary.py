"""The project's own vocabulary: every common Chinese character, and word pieces for Latin letters, digits and units.

It needs no corpus and no download: the characters are those of the national standard GB 2312 (6,763 Chinese
characters and 682 signs), which Python's codec provides; the pieces are listed below.
"""

import string

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
CONTINUATION = "##"

# Units, chemical elements and abbreviations that patents write in Latin letters, in lower case for an uncased model.
_UNITS = "mm cm km nm um kg mg ml kw mw hz khz mhz ghz kv ma mv mpa kpa pa min wt mol rpm db ev kj"
_ELEMENTS = "li na mg al si ca ti cr mn fe co ni cu zn zr mo ag sn ba au pb la ce"
_ABBREVIATIONS = (
    "ip tcp http usb led lcd oled pcb cpu gpu ram rom plc mcu fpga adc dac pwm ccd cmos rfid gps wifi bluetooth lte "
    "mimo ofdm api app web id io ic rf ac dc uv ir dna rna pcr ph pvc pe pp pet abs pu pid ai ct mri nfc qr sim uwb "
    "vr ar cad cnc co2 h2o sio2 tio2 al2o3 nacl naoh hcl so2 nox"
)
_LARGEST_NUMBER = 100  # whole numbers below this one have a piece of their own


def gb2312_characters() -> list[str]:
    """Return all characters of GB 2312 in the order of the standard: signs (rows 1-9), then characters (16-87)."""
    found = []
    for row in (*range(0xA1, 0xAA), *range(0xB0, 0xF8)):
        for cell in range(0xA1, 0xFF):
            try:
                found.append(bytes((row, cell)).decode("gb2312"))
            except UnicodeDecodeError:  # an empty cell of the standard
                continue
    return found


def demo_vocabulary() -> list[str]:
    """Build the vocabulary of ``encoder=demo``: special tokens, ASCII, GB 2312 and word pieces.

    Returns:
        About 8,000 distinct tokens; a token's position is its id, and ``[PAD]`` is 0.
    """
    alphanumeric = string.digits + string.ascii_lowercase
    tokens = [
        *SPECIAL_TOKENS,
        *string.punctuation,
        *alphanumeric,
        *(CONTINUATION + character for character in alphanumeric),
        *(character.lower() for character in gb2312_characters() if not character.isspace()),
        *map(str, range(10, _LARGEST_NUMBER)),
        *(f"{CONTINUATION}{number:02d}" for number in range(_LARGEST_NUMBER)),
        *f"{_UNITS} {_ELEMENTS} {_ABBREVIATIONS}".split(),
        *(CONTINUATION + unit for unit in _UNITS.split()),
    ]
    return list(dict.fromkeys(tokens))
