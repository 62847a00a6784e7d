"""Values: timestamps, channel names, positions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc_core.model.channel import VChannel, pchannel_of
from cdc_core.model.position import Position
from cdc_core.model.timestamp import GRID_MS, Tso

pytestmark = pytest.mark.unit
tsos = st.integers(0, 2**62).map(Tso)

PULSAR_CHECKPOINT = (
    "CitieS1kZXYtcm9vdGNvb3JkLWRtbF8wXzQ1MTcwMDkwMjE2MjMzMzczM3YwEgkIARCZThgAIAAaO2RhdGFub2RlLTYtYnktZGV2LXJvb3Rj"
    "b29yZC1kbWxfMF80NTE3MDA5MDIxNjIzMzM3MzN2MC10cnVlIIGAkLrcgbGiBg=="
)


@given(tsos, tsos)
def test_text_order_is_time_order_and_nothing_is_rounded(a: Tso, b: Tso) -> None:
    assert (a.text < b.text) == (a < b)
    assert Tso.parse(a.text) == a


@given(tsos)
def test_a_cell_ends_on_its_grid_line(a: Tso) -> None:
    assert a.floor() <= a <= a.ceil()
    assert a.ceil() - a.floor() in (0, Tso.of(GRID_MS))
    assert Tso(a.ceil()).cell == a.cell
    assert Tso(a.ceil() + 1).cell == a.cell + 1


def test_a_real_pulsar_checkpoint_decodes_and_encodes_to_the_same_text() -> None:
    position = Position.from_base64(PULSAR_CHECKPOINT)
    assert position.channel == "by-dev-rootcoord-dml_0_451700902162333733v0"
    assert position.message_id == bytes.fromhex("080110994e18002000")
    assert position.timestamp == 451701426100633601
    assert position.to_base64() == PULSAR_CHECKPOINT


@pytest.mark.parametrize("text", ["", "x", "!!!!", "CgNhYg==", "////", "CP///////////////w=="])
def test_a_text_that_is_no_position_is_refused(text: str) -> None:
    if text == "":
        assert Position.from_base64(text) == Position("", b"")
        return
    with pytest.raises(ValueError, match="MsgPosition"):
        Position.from_base64(text)


def test_vchannel_names() -> None:
    name = "in_v01-rootcoord-dml_3_451700902162333733v12"
    channel = VChannel.parse(name)
    assert channel == VChannel("in_v01-rootcoord-dml_3", 451700902162333733, 12)
    assert channel.name == name
    assert pchannel_of(name) == pchannel_of(channel.pchannel) == "in_v01-rootcoord-dml_3"
    with pytest.raises(ValueError, match="no vchannel"):
        VChannel.parse("by-dev-rootcoord-dml_3")
