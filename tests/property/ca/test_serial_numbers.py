"""Serial numbers: 159 bits of randomness, positive, and never too long (security K2)."""

from hypothesis import given
from hypothesis import strategies as st

from ca.linting import MAXIMUM_SERIAL_BITS
from enroll.certificates import new_serial_number
from server.clock import SystemRandomness

MANY = 50_000
BITS = 159


@given(st.binary(min_size=20, max_size=20))
def test_security_K2_any_twenty_octets_make_a_positive_number_of_159_bits(octets: bytes) -> None:
    number = new_serial_number(octets)

    assert 0 < number < 1 << BITS
    assert len(number.to_bytes(number.bit_length() // 8 + 1)) <= 20
    assert MAXIMUM_SERIAL_BITS == BITS


@given(st.binary(min_size=20, max_size=20), st.integers(0, BITS - 1))
def test_security_K2_every_bit_of_randomness_counts(octets: bytes, bit: int) -> None:
    other = (int.from_bytes(octets) ^ (2 << bit)).to_bytes(20)

    assert new_serial_number(octets) != new_serial_number(other) or {octets, other} == {
        bytes(20),
        (2).to_bytes(20),
    }


def test_security_K2_zero_is_never_a_serial_number() -> None:
    assert new_serial_number(bytes(20)) == 1
    assert new_serial_number(bytes(19) + b"\1") == 1


def test_security_K2_many_numbers_are_all_different_and_look_like_chance() -> None:
    randomness = SystemRandomness()

    numbers = [new_serial_number(randomness.octets(20)) for _ in range(MANY)]

    assert len(set(numbers)) == MANY
    ones = [0] * BITS
    for place in range(BITS):
        mask = 1 << place
        ones[place] = sum(1 for number in numbers if number & mask)
    # Each bit is a coin thrown MANY times: its deviation squared, summed over the bits, is
    # chi-squared of 159 degrees, which exceeds 300 once in 10^10 runs and falls below 70 as rarely.
    chi_squared = sum((count - MANY / 2) ** 2 / (MANY / 4) for count in ones)
    assert 70 < chi_squared < 300


def test_security_K2_the_server_s_randomness_is_the_system_s() -> None:
    drawn = {SystemRandomness().octets(20) for _ in range(1_000)}

    assert len(drawn) == 1_000
    assert all(len(each) == 20 for each in drawn)
