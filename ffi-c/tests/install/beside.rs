//! Another static library of Rust's, to be linked into one program with libiscsicore.a.

/// Panics and catches it: 1 when the panic was unwound, and what it passed was dropped.
#[unsafe(no_mangle)]
pub extern "C" fn beside_unwinds() -> i32 {
    struct Passed<'a>(&'a mut i32);
    impl Drop for Passed<'_> {
        fn drop(&mut self) {
            *self.0 += 1;
        }
    }
    let mut passed = 0;
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _passed = Passed(&mut passed);
        panic!("on purpose: this message belongs to a test that passes");
    }));
    i32::from(caught.is_err() && passed == 1)
}
