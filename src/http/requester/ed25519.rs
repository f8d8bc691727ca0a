//! Checks an Ed25519 public key (RFC 8032). The library that verifies signatures does not check it.

use num_bigint::BigUint;

/// The curve is `-x² + y² = 1 + d·x²·y²` modulo `2²⁵⁵ - 19`, with `d = -NUMERATOR / DENOMINATOR`.
const NUMERATOR: u32 = 121_665;
const DENOMINATOR: u32 = 121_666;

/// Refuses a key that is not a point of the curve, or for which anybody can sign.
pub fn check(key: [u8; 32]) -> Result<(), &'static str> {
    let prime = (BigUint::from(1_u32) << 255) - 19_u32;
    let mut encoded = key;
    // The highest bit is the sign of x.
    encoded[31] &= 0x7f;
    let y = BigUint::from_bytes_le(&encoded);
    if y >= prime {
        return Err("is not in canonical form");
    }
    let one = BigUint::from(1_u32);
    let minus = |number: &BigUint| &prime - number % &prime;
    let square = &y * &y % &prime;

    // x² = above / below, and both are multiplied by DENOMINATOR here.
    let above = (&square + minus(&one)) * DENOMINATOR % &prime;
    let below = (minus(&(&square * NUMERATOR)) + DENOMINATOR) % &prime;

    // Orders 1 and 2 have y² = 1, order 4 has y = 0, and order 8 has x² = -y².
    let zero = BigUint::ZERO;
    if above == zero || y == zero || (&square * &below + &above) % &prime == zero {
        return Err("is a point of small order, with which anybody can sign");
    }
    // Euler's criterion: a fraction is a square where this power of the product is 1.
    let power = (&prime - 1_u32) >> 1;
    if (above * below).modpow(&power, &prime) != one {
        return Err("is not a point of its curve");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

    use super::*;

    /// `2²⁵⁵ - 19 + offset`, in little-endian order.
    fn prime_plus(offset: i16) -> [u8; 32] {
        let mut bytes = [0xff; 32];
        bytes[0] = u8::try_from(0xed + offset).unwrap();
        bytes[31] = 0x7f;
        bytes
    }

    fn small(y: u8) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[0] = y;
        bytes
    }

    fn with_sign(mut key: [u8; 32]) -> [u8; 32] {
        key[31] |= 0x80;
        key
    }

    /// The two values of y that points of order 8 have.
    const ORDER_8: [[u8; 32]; 2] = [
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
            0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
        ],
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
            0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
        ],
    ];

    #[test]
    fn keys_that_were_generated_are_sound() {
        for _ in 0..32 {
            let pair = Ed25519KeyPair::generate().unwrap();
            assert_eq!(check(pair.public_key().as_ref().try_into().unwrap()), Ok(()));
        }
    }

    #[test]
    fn a_point_of_small_order_is_refused_in_every_spelling() {
        let [first, second] = ORDER_8;
        for key in [small(0), small(1), prime_plus(-1), first, second] {
            for key in [key, with_sign(key)] {
                assert_eq!(check(key), Err("is a point of small order, with which anybody can sign"), "{key:x?}");
            }
        }
    }

    #[test]
    fn a_number_that_is_not_reduced_is_refused() {
        for offset in [0, 1, 3, 18] {
            for key in [prime_plus(offset), with_sign(prime_plus(offset))] {
                assert_eq!(check(key), Err("is not in canonical form"), "{key:x?}");
            }
        }
    }

    #[test]
    fn a_number_without_a_point_is_refused() {
        // Found with the formula of RFC 8032 in another language.
        for y in [2, 7, 8] {
            assert_eq!(check(small(y)), Err("is not a point of its curve"), "{y}");
        }
        for y in [3, 4, 5] {
            assert_eq!(check(small(y)), Ok(()), "{y}");
        }
    }
}
