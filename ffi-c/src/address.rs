//! Addresses of sockets as text.

use core::ffi::{c_char, c_void};
use core::mem::MaybeUninit;
use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use libc::{sockaddr_in, sockaddr_in6, sockaddr_storage};

use crate::boundary::guard;
use crate::pointer::{fill, out, slice};
use crate::status::{Failure, iscsicore_status};

/// Writes the address of a socket as text that ends with NUL, "192.0.2.1:3260" or "[2001:db8::1]:3260", as
/// iscsicore_host_connect takes it. A buffer of 80 bytes is enough.
///
/// `address` and `address_len` are what getsockname gave: a struct sockaddr of AF_INET or AF_INET6. `*len` is the length of
/// the text without its NUL, whether it fits or not.
///
/// Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for any other address. ISCSICORE_STATUS_BUFFER_TOO_SMALL unless `capacity` is
/// greater than `*len`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_address_text(
    address: *const c_void,
    address_len: usize,
    buffer: *mut c_char,
    capacity: usize,
    len: *mut usize,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let place = unsafe { out(len, "len") }?;
        if address.is_null() {
            return Err(crate::handle::null("address"));
        }
        // SAFETY: as above.
        let address = parse(unsafe { slice(address.cast::<u8>(), address_len, "address") }?)?;
        let text = format!("{address}\0");
        place.set(text.len() - 1);
        let mut filled = 0;
        // SAFETY: as above; and a place of our own.
        unsafe { fill(text.as_bytes(), buffer.cast(), capacity, &raw mut filled) }
    })
}

fn parse(bytes: &[u8]) -> Result<SocketAddr, Failure> {
    let mut storage = MaybeUninit::<sockaddr_storage>::zeroed();
    let len = bytes.len().min(size_of::<sockaddr_storage>());
    // SAFETY: both have `len` bytes. C need not have aligned them.
    unsafe { storage.as_mut_ptr().cast::<u8>().copy_from_nonoverlapping(bytes.as_ptr(), len) };
    // SAFETY: numbers, of which any bytes are a value.
    let family = i32::from(unsafe { storage.assume_init_ref() }.ss_family);
    match family {
        libc::AF_INET if len >= size_of::<sockaddr_in>() => {
            // SAFETY: a sockaddr_storage has the size and alignment of every other, and any bytes are a value.
            let v4 = unsafe { &*storage.as_ptr().cast::<sockaddr_in>() };
            let ip = Ipv4Addr::from_bits(u32::from_be(v4.sin_addr.s_addr));
            Ok(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
        }
        libc::AF_INET6 if len >= size_of::<sockaddr_in6>() => {
            // SAFETY: as above.
            let v6 = unsafe { &*storage.as_ptr().cast::<sockaddr_in6>() };
            let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            Ok(SocketAddrV6::new(ip, u16::from_be(v6.sin6_port), 0, v6.sin6_scope_id).into())
        }
        libc::AF_INET | libc::AF_INET6 => {
            Err(Failure::invalid(format!("an address of {} bytes is too short", bytes.len())))
        }
        other => Err(Failure::invalid(format!("an address of family {other}; it must be IPv4 or IPv6"))),
    }
}
