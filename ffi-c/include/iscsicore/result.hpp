/// How a call ended: a value or a failure, and with exceptions only where they are wanted.
///
/// Include iscsicore.hpp, which includes this.
#ifndef ISCSICORE_RESULT_HPP
#define ISCSICORE_RESULT_HPP

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#include "../iscsicore.h"

// Define ISCSICORE_NO_EXCEPTIONS to have result::value() abort in place of throwing. Without exceptions in the compiler it is
// so anyway.
#if !defined(ISCSICORE_NO_EXCEPTIONS) && !defined(__cpp_exceptions) && !defined(_CPPUNWIND)
#define ISCSICORE_NO_EXCEPTIONS
#endif

#if defined(_MSVC_LANG)
#define ISCSICORE_CPLUSPLUS _MSVC_LANG
#else
#define ISCSICORE_CPLUSPLUS __cplusplus
#endif

#if ISCSICORE_CPLUSPLUS < 201703L
#error "iscsicore.hpp needs C++17"
#endif

// Files of one program may be compiled with other choices: then these are other types, not other definitions of the same.
#if ISCSICORE_CPLUSPLUS >= 202002L && defined(ISCSICORE_NO_EXCEPTIONS)
#define ISCSICORE_ABI cpp20_aborts
#elif ISCSICORE_CPLUSPLUS >= 202002L
#define ISCSICORE_ABI cpp20_throws
#elif defined(ISCSICORE_NO_EXCEPTIONS)
#define ISCSICORE_ABI cpp17_aborts
#else
#define ISCSICORE_ABI cpp17_throws
#endif

namespace iscsicore {
inline namespace ISCSICORE_ABI {

/// What a status means, in words. The string lives for ever.
inline const char *status_text(int status) noexcept { return iscsicore_status_text(status); }

/// The version of the library that is linked. The string lives for ever.
inline const char *version() noexcept { return iscsicore_version(); }

/// Why a call failed.
class failure {
public:
    failure(iscsicore_status status, std::string message) : status_(status), message_(std::move(message)) {}

    /// The failure that this thread met last, with the status that it was told by.
    static failure last(iscsicore_status status) { return failure(status, iscsicore_error_message()); }

    iscsicore_status status() const noexcept { return status_; }

    /// What was wrong, and often with which value. Lives as long as this.
    const char *message() const noexcept { return message_.c_str(); }

private:
    iscsicore_status status_;
    std::string message_;
};

/// What result::value() throws.
class error : public std::runtime_error {
public:
    explicit error(const failure &why)
        : std::runtime_error(std::string("iscsicore: ") + why.message()), status_(why.status()) {}

    iscsicore_status status() const noexcept { return status_; }

private:
    iscsicore_status status_;
};

namespace detail {

[[noreturn]] inline void raise(const failure &why) {
#if defined(ISCSICORE_NO_EXCEPTIONS)
    std::fprintf(stderr, "iscsicore: %s (%s)\n", why.message(), iscsicore_status_text(why.status()));
    std::abort();
#else
    throw error(why);
#endif
}

/// What result<T> and result<void> have in common. A success costs a pointer.
class outcome {
public:
    bool has_value() const noexcept { return failure_ == nullptr; }

    /// ISCSICORE_STATUS_OK, or how the call failed.
    iscsicore_status status() const noexcept { return failure_ ? failure_->status() : ISCSICORE_STATUS_OK; }

    /// Why the call failed; empty when it did not. Lives as long as this.
    const char *message() const noexcept { return failure_ ? failure_->message() : ""; }

protected:
    outcome() = default;
    explicit outcome(failure why) : failure_(std::make_unique<failure>(std::move(why))) {}

    void check() const {
        if (failure_) {
            raise(*failure_);
        }
    }

private:
    std::unique_ptr<failure> failure_;
};

}  // namespace detail

/// A value, or why there is none; used as std::expected is. It can be moved, not copied.
///
/// `call().value()` throws iscsicore::error, or aborts without exceptions. `if (auto r = call()) use(*r); else r.status();`
/// never does either.
template <class T>
class [[nodiscard]] result : public detail::outcome {
public:
    using value_type = T;

    result(T value) : value_(std::move(value)) {}
    result(failure why) : outcome(std::move(why)) {}

    /// Whether there is a value. Not for result<bool>, where it would be taken for the value: ask has_value().
    template <class U = T, class = std::enable_if_t<!std::is_same_v<U, bool>>>
    explicit operator bool() const noexcept {
        return has_value();
    }

    T &value() & { return check(), value_; }
    const T &value() const & { return check(), value_; }
    T value() && { return check(), std::move(value_); }

    /// The value, unchecked: without one, an empty T.
    T &operator*() & noexcept { return value_; }
    const T &operator*() const & noexcept { return value_; }
    T operator*() && { return std::move(value_); }
    T *operator->() noexcept { return &value_; }
    const T *operator->() const noexcept { return &value_; }

    template <class U>
    T value_or(U &&other) && {
        return has_value() ? std::move(value_) : static_cast<T>(std::forward<U>(other));
    }

private:
    T value_{};
};

/// Success, or why not.
template <>
class [[nodiscard]] result<void> : public detail::outcome {
public:
    using value_type = void;

    result() = default;
    result(failure why) : outcome(std::move(why)) {}

    explicit operator bool() const noexcept { return has_value(); }

    /// Throws iscsicore::error, or aborts without exceptions, when the call failed.
    void value() const { check(); }
};

template <class Handle>
class borrowed;

namespace detail {

/// Calls a function that has no result but its status.
template <class... Parameters, class... Arguments>
result<void> call(iscsicore_status (*function)(Parameters...), Arguments &&...arguments) {
    const iscsicore_status status = function(std::forward<Arguments>(arguments)...);
    if (status != ISCSICORE_STATUS_OK) {
        return failure::last(status);
    }
    return {};
}

/// Calls a function whose last parameter is the place for a T.
template <class T, class... Parameters, class... Arguments>
result<T> fetch(iscsicore_status (*function)(Parameters...), Arguments &&...arguments) {
    T value{};
    const iscsicore_status status = function(std::forward<Arguments>(arguments)..., &value);
    if (status != ISCSICORE_STATUS_OK) {
        return failure::last(status);
    }
    return value;
}

/// Calls a function that makes a handle.
template <class Handle, class... Parameters, class... Arguments>
result<Handle> make(iscsicore_status (*function)(Parameters...), Arguments &&...arguments) {
    typename Handle::c_type *pointer = nullptr;
    const iscsicore_status status = function(std::forward<Arguments>(arguments)..., &pointer);
    if (status != ISCSICORE_STATUS_OK) {
        return failure::last(status);
    }
    return Handle::adopt(pointer);
}

/// What all handles have in common: they own what they hold, move and do not copy, and may be empty. A call with an empty
/// handle answers ISCSICORE_STATUS_NULL_POINTER.
///
/// Threads: see the handle's type in iscsicore.h. A handle must not be destroyed while another thread calls with it, nor from
/// within a callback of such a call.
template <class Derived, class C, iscsicore_status (*Free)(C *)>
class handle {
public:
    using c_type = C;

    /// Takes over a handle that C functions made.
    static Derived adopt(C *pointer) noexcept {
        Derived derived;
        static_cast<handle &>(derived).pointer_.reset(pointer);
        return derived;
    }

    /// For C functions; it stays owned by this.
    C *get() const noexcept { return pointer_.get(); }

    explicit operator bool() const noexcept { return pointer_ != nullptr; }

    /// Ends what it holds now, rather than with this object, and is empty.
    void free() noexcept { pointer_.reset(); }

private:
    template <class Handle>
    friend class iscsicore::borrowed;

    struct closer {
        void operator()(C *pointer) const noexcept { (void)Free(pointer); }
    };

    std::unique_ptr<C, closer> pointer_;
};

}  // namespace detail

/// A handle that belongs to another one, and ends with that.
template <class Handle>
class borrowed {
public:
    borrowed() = default;
    explicit borrowed(typename Handle::c_type *pointer) noexcept : held_(Handle::adopt(pointer)) {}
    borrowed(borrowed &&) = default;
    borrowed &operator=(borrowed &&other) noexcept {
        std::swap(held_, other.held_);
        return *this;
    }
    ~borrowed() { (void)held_.pointer_.release(); }

    Handle &operator*() noexcept { return held_; }
    Handle *operator->() noexcept { return &held_; }

private:
    Handle held_;
};

}  // namespace ISCSICORE_ABI
}  // namespace iscsicore

#endif
