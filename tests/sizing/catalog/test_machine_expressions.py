"""What people type for a machine is understood, or refused with a way out."""

from __future__ import annotations

import pytest

from whatfits.sizing.api import load_machine
from whatfits.sizing.catalog.machines import machine_expression
from whatfits.sizing.errors import UnknownMachineError


@pytest.mark.parametrize(
    ("typed", "usual"),
    [
        ("rtx 3090 x2 + 64gb", "2x rtx 3090 + 64gb"),
        ("rtx 3090 * 2", "2x rtx 3090"),
        ("3090 x2", "2x rtx 3090"),
        ("2 x 3090", "2x rtx 3090"),
        ("2 rtx 3090", "2x rtx 3090"),
        ("dual rtx 3090 + 64 gb", "2x rtx 3090 + 64gb"),
        ("rtx 3060 12gb x2", "2x rtx 3060 12gb"),
        ("64gb ddr4-3200 dual channel", "64gb ddr4-3200 2 channels"),
        ("2x 64gb ddr5-4800, quad-channel", "128gb ddr5-4800 4 channels"),
        ("rtx3090x2", "2x rtx 3090"),
        ("rtx4090x2 + 64gb", "2x rtx 4090 + 64gb"),
        ("4090*2", "2x rtx 4090"),
        ("3090x2", "2x rtx 3090"),
        ("3090 ti x 2", "2x rtx 3090 ti"),
        ("3090tix2", "2x rtx 3090 ti"),
        ("rtx 3090 (x2)", "2x rtx 3090"),
        ("(2x) rtx 3090", "2x rtx 3090"),
        ("rtx 3090 2x", "2x rtx 3090"),
        ("two rtx 3090", "2x rtx 3090"),
        ("2 4090", "2x rtx 4090"),
        ("eight h100-sxm", "8x h100-sxm"),
        ("3060 12gbx2", "2x rtx 3060 12gb"),
        ("2x3090s", "2x rtx 3090"),
        ("two A6000s", "2x rtx a6000"),
        ("2x l40s", "2x nvidia l40s"),
        ("2 x 16gb", "32gb"),
        ("16gb x2", "32gb"),
        ("16 gigs of ram", "16gb"),
        ("32gb ddr4 @ 3200", "32gb ddr4-3200"),
        ("rtx 3090 & rtx 3060 12gb and 64gb", "rtx 3090 + rtx 3060 12gb + 64gb"),
    ],
)
def test_a_count_is_understood_where_people_write_it(typed: str, usual: str) -> None:
    assert machine_expression(typed) == machine_expression(usual)


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("7900xtx", "Radeon RX 7900 XTX"),
        ("6700xt + 32gb", "Radeon RX 6700 XT"),
        ("9060 xt 16gb", "Radeon RX 9060 XT 16 GB"),
        ("5800x3d + 64gb", "Ryzen 7 5800X3D"),
        ("5600x 32gb", "Ryzen 5 5600X"),
        ("mi250x2", "Instinct MI250"),
    ],
)
def test_an_x_behind_a_model_number_is_no_count(typed: str, name: str) -> None:
    assert machine_expression(typed).devices[0].name == name


@pytest.mark.parametrize("typed", ["32gb DDR5 6000 MT/s", "32gb ddr5-6000mhz", "32gb ddr5-6000"])
def test_a_rate_may_carry_its_unit(typed: str) -> None:
    machine = load_machine(typed)  # the slash of the unit makes no path
    assert machine.devices[-1].bandwidth_bytes_per_s == 96_000_000_000


@pytest.mark.parametrize(
    "typed",
    [
        *("macbook pro 14 m3 pro 18gb", 'MacBook Pro 14" M3 Pro 18GB'),
        *("mbp m3 pro 18gb", "macbookpro m3 pro 18gb"),
        *("MacBook Pro (14-inch, 2023) M3 Pro 18GB", "macbook pro 2023 m3 pro 18gb"),
    ],
)
def test_a_mac_may_be_named_with_its_inches_and_its_year(typed: str) -> None:
    assert machine_expression(typed) == machine_expression("m3 pro 18gb")


@pytest.mark.parametrize(
    ("typed", "usual"),
    [
        ("i7 13700k + 32gb", "core i7-13700k + 32gb"),
        ("265k + 64gb", "core ultra 7 265k + 64gb"),
        ("ryzen 5600x + 32gb", "ryzen 5 5600x + 32gb"),
        ("rpi5 8gb", "raspberry pi 5 8gb"),
        ("pi 5 8gb", "raspberry pi 5 8gb"),
        ("Raspberry Pi 5 (8GB)", "raspberry pi 5 8gb"),
        ("raspberry pi 5 8 GB", "raspberry pi 5 8gb"),
        ("w7-3465x + 256gb", "xeon w7-3465x + 256gb"),
        ("ampere altra q80-30 + 128gb", "altra q80-30 + 128gb"),
        ("dual socket epyc 7742 + 512gb", "2x epyc 7742 + 512gb"),
    ],
)
def test_a_processor_may_be_named_in_short(typed: str, usual: str) -> None:
    assert machine_expression(typed).devices == machine_expression(usual).devices


@pytest.mark.parametrize(
    ("typed", "usual"),
    [
        ("8 GB laptop", "8gb"),
        ("256gb server + h100 sxm", "256gb + h100 sxm"),
        ("Raspberry Pi 5 (8 GB)", "raspberry pi 5 8gb"),
        ("ryzen 9 7950x 64 GB", "ryzen 9 7950x + 64gb"),
        ("m4(24 GB)", "m4 24gb"),
        ("Mac mini (M4, 24 GB)", "m4 24gb"),
        ("macbook pro (m3 max, 64gb)", "m3 max 40-core 64gb"),
        ("rtx 4090 pc", "rtx 4090"),
        ("ryzen 7 8700g + 32gb", "ryzen 7 8700g 32gb"),
        ("ryzen 7 8700g pc (32gb)", "ryzen 7 8700g 32gb"),
        ("i5 14500t + 16gb", "i5-14500t 16gb"),
        ("ryzen 9 7950x pc 64gb", "ryzen 9 7950x 64gb"),
        ("raspberry pi 5 computer 8gb", "raspberry pi 5 8gb"),
        ("64gb workstation", "64gb"),
        ("2048g + h100 sxm", "2tb + h100 sxm"),
        ("4090 gaming PC + 64gb", "rtx 4090 + 64gb"),
        ("2x 3090 rig + 64gb", "2x rtx 3090 + 64gb"),
        ("rtx pro 6000 blackwell server", "rtx pro 6000 blackwell server edition"),
        ("rtx 3060 (12GB) x2 + 32gb", "2x rtx 3060 12gb + 32gb"),
    ],
)
def test_memory_may_be_written_as_shops_do(typed: str, usual: str) -> None:
    one, other = machine_expression(typed), machine_expression(usual)
    assert (one.devices, one.pools) == (other.devices, other.pools)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("", "rtx-4090"),
        ("  ", "rtx-4090"),
        ("rtx 4090 +", "each side of '+'"),
        ("+ 64gb", "each side of '+'"),
        ("0x rtx 4090", "1 to 64"),
        ("100x rtx 4090", "1 to 64"),
        (f"{'9' * 5000}x 4090", "rtx-4090"),
        ("99999x 4090", "1 to 64"),
        ("40x 4090 + 40x 3090", "at most 64"),
        ("0gb", "up to 64 TiB"),
        ("9999999tb", "up to 64 TiB"),
        ("64gb + 32gb", "one size of RAM"),
        ("64gb ddr5", "ddr5-6000"),
        ("64gb ddr5-99999", "ddr5-6000"),
        ("64gb ddr9-6000", "DDR4"),
        ("64gb ddr5 12 channels", "ddr5-6000"),
        ("768gb ddr5-4800 0 channels", "1 to 24"),
        ("768gb ddr5-4800 9999 channels", "1 to 24"),
        # two channels take four modules, and PCs at most 256 GiB
        ("12x 64gb ddr5-4800", "'12x 64gb ddr5-4800 8 channels'"),
        ("rtx 5090 + 768gb ddr5-4800", "'768gb ddr5-4800 8 channels'"),
        ("m1", "8 GiB, 16 GiB"),
        ("arc a770", "arc a770 16gb"),
        ("arc-a770 + 32gb", "'arc-a770 16gb + 32gb'"),
        ("arc-a770 x2 + 32gb", "'2x arc-a770 16gb + 32gb'"),
        ("rtx 3090 x0", "1 to 64"),
        ("rtx 3090 x 99999999", "1 to 64"),
        ("32gb + 2x arc-a770", "'32gb + 2x arc-a770 16gb'"),
        ("m4 max 72gb", "48 GiB"),
        ("2x m1 8gb", "whole machine"),
        ("m1 8gb + m2 8gb", "whole machine"),
        ("m4 max 64gb + rtx 4090", "whole machine"),
        ("2x rtx 4090 + m4 max 64gb", "no GPU beside Apple silicon's own"),
        ("radeon 780m + m1 8gb", "once, with the RAM"),
        ("m1 8gb + 16gb", "write it once"),
        ("m1 + 12gb", "8 GiB, 16 GiB"),
        ("radeon 780m", "adds no memory"),
        ("rtx 4090 64gb", "+ 64gb"),
        ("h100", "ambiguous"),
        ("h100 server", "ambiguous device 'h100'"),
        ("arc a770 pc + 32gb", "'arc a770 16gb + 32gb'"),
        ("2x arc a770 rig + 32gb", "'2x arc a770 16gb + 32gb'"),
        ("rtx 4090 48gb pc", "RAM of the PC is written apart"),
        ("dell server", "unknown device 'dell server'"),
        ("4090x2x3", "GeForce RTX 4090"),
        ("two 4070s", "'GeForce RTX 4070 SUPER'"),
        ("arc a770 (x2)", "'2x arc a770 16gb'"),
        ("dgx h100", "H100 SXM5 80 GB"),
        ("EVGA 3090", "did you mean GeForce RTX 3090"),
        ("g5.xlarge", "named by its GPUs and its RAM"),
        ("p4d.24xlarge", "named by its GPUs and its RAM"),
        ("macbook pro 2015", "by its chip and memory"),
        ("8gb vram + 32gb", "name the card"),
        ("rtx 4090 + 64", "'64gb'"),
        ("rtx 4090 + 65536mb", "'64gb'"),
        ("rtx 4090 64gb ram", "RAM of the PC is written apart"),
        ("iphone 16 pro", "phones and tablets"),
        ("intel n100 + 16gb", "of that processor nothing is known"),
        ("cpu only", "named by its RAM"),
        ("rtx 9999", "rtx 4090"),
        ("x" * 10**6, "rtx-4090"),
    ],
)
def test_a_wrong_expression_is_one_line_with_a_way_out(typed: str, said: str) -> None:
    with pytest.raises(UnknownMachineError) as caught:
        machine_expression(typed)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "typed", ["arc a770", "arc-a770 + 32gb", "2x arc a770 + 64gb ddr5-5600", "32gb + arc a770"]
)
def test_the_expression_that_a_refusal_suggests_works(typed: str) -> None:
    with pytest.raises(UnknownMachineError) as caught:
        machine_expression(typed)
    suggested = caught.value.next_step.split("'")[1]
    assert machine_expression(suggested).pools[0].total_bytes
