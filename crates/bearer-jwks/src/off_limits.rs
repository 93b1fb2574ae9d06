//! Addresses that are never asked for keys, whatever name or number they go by.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses that no issuer has, and that an attacker would like to see us ask: link-local ones, "any", and
/// those of services elsewhere that give away credentials or settings of the machine. An IPv4 address is as
/// much off limits where an IPv6 address stands for it.
pub(crate) fn is_off_limits(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            v4.is_link_local()
                || v4.is_unspecified()
                || matches!(
                    v4.octets(),
                    // The metadata of Alibaba Cloud and of Oracle Cloud, and the wire server of Azure.
                    [100, 100, 100, 200] | [192, 0, 0, 192] | [168, 63, 129, 16]
                )
        }
        IpAddr::V6(v6) => {
            v6.is_unicast_link_local()
                || v6.is_unspecified()
                || matches!(
                    v6.segments(),
                    // The metadata of EC2, the credentials of EKS pods, and the metadata of Google Cloud.
                    [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254 | 0x23] | [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254]
                )
                || embedded(v6).is_some_and(|v4| is_off_limits(IpAddr::V4(v4)))
        }
    }
}

/// The IPv4 address that a translator or a tunnel makes of this one: NAT64 (RFC 6052 §2.1, RFC 8215), SIIT
/// (RFC 2765 §2.1), 6to4 (RFC 3056 §2), or IPv4-compatible (RFC 4291 §2.5.5.1).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let ([0x64, 0xff9b, 0, 0, 0, 0, high, low]
    | [0x64, 0xff9b, 1, .., high, low]
    | [0, 0, 0, 0, 0 | 0xffff, 0, high, low]
    | [0x2002, high, low, ..]) = address.segments()
    else {
        return None;
    };
    Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
}
