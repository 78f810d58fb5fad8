/// Payload that is handed in: lent out of containers, or copied.
///
/// Include iscsicore.hpp, which includes this.
#ifndef ISCSICORE_PAYLOAD_HPP
#define ISCSICORE_PAYLOAD_HPP

#include <initializer_list>

#include "memory.hpp"

namespace iscsicore {
inline namespace ISCSICORE_ABI {

namespace detail {

template <class C>
using element_of = std::remove_cv_t<std::remove_pointer_t<decltype(std::data(std::declval<C &>()))>>;

/// Containers whose elements lie in one piece and are mere bytes.
template <class C>
using if_bytes = std::enable_if_t<std::is_trivially_copyable_v<element_of<C>>>;

/// Whether the elements are the container's own, and not only seen through it.
template <class C>
inline constexpr bool owns = !std::is_array_v<C>;
template <class T>
inline constexpr bool owns<span<T>> = false;
template <class T>
inline constexpr bool owns<std::basic_string_view<T>> = false;
template <class T>
inline constexpr bool owns<std::initializer_list<T>> = false;

template <class C>
using if_moved_in = std::enable_if_t<!std::is_lvalue_reference_v<C> && owns<std::remove_cv_t<C>>>;

template <class C>
iscsicore_iovec slice_of(const C &container) noexcept {
    // The library reads payload, and iovec knows no const.
    return {const_cast<element_of<C> *>(std::data(container)), std::size(container) * sizeof(element_of<C>)};
}

/// What is lent, until the library gives it back.
struct loan {
    virtual ~loan() = default;
    static void release(void *context) noexcept { delete static_cast<loan *>(context); }
};

}  // namespace detail

/// Payload for a call.
///
/// What is lent is owned by the library once the call has succeeded, and destroyed when it uses it no more: on the thread of
/// the call that ends the last use, whichever that is. When the call fails, the payload stays in this object.
///
/// What is copied must live until the call has returned, and no longer.
class payload {
public:
    /// No bytes.
    payload() noexcept = default;

    /// Lends a container that is moved in, such as std::vector<std::uint8_t> or std::string. Nothing is copied.
    template <class C, class = detail::if_bytes<C>, class = detail::if_moved_in<C>>
    static payload lend(C &&container) {
        struct holder final : detail::loan {
            explicit holder(C &&container) : held(std::move(container)) {}
            C held;
        };
        auto made = std::make_unique<holder>(std::move(container));
        const iscsicore_iovec slice = detail::slice_of(made->held);
        return payload(slice, std::move(made));
    }

    /// Lends a container that others use as well: it lives as long as the library reads it, and must not change so long.
    template <class C, class = detail::if_bytes<C>>
    static payload lend(std::shared_ptr<C> container) {
        struct holder final : detail::loan {
            explicit holder(std::shared_ptr<C> container) : held(std::move(container)) {}
            std::shared_ptr<C> held;
        };
        const iscsicore_iovec slice = container ? detail::slice_of(*container) : iscsicore_iovec{};
        return payload(slice, std::make_unique<holder>(std::move(container)));
    }

    /// Lends memory of the caller's. `release` is called when neither the library nor this object uses it any more; it is
    /// noexcept, since it is called from the library.
    template <class F, class = std::enable_if_t<std::is_nothrow_invocable_v<F &>>>
    static payload lend(bytes memory, F release) {
        struct holder final : detail::loan {
            explicit holder(F release) : done(std::move(release)) {}
            ~holder() override { done(); }
            F done;
        };
        return payload(detail::slice_of(memory), std::make_unique<holder>(std::move(release)));
    }

    /// The same for memory in slices, of which the array must live as long as the memory.
    template <class F, class = std::enable_if_t<std::is_nothrow_invocable_v<F &>>>
    static payload lend(span<const iscsicore_iovec> memory, F release) {
        payload made = lend(bytes(), std::move(release));
        made.described_.slices = memory.data();
        made.described_.count = memory.size();
        made.is_described_ = true;
        return made;
    }

    /// Has bytes copied during the call.
    static payload copy(bytes memory) noexcept { return payload(detail::slice_of(memory), nullptr); }

    /// Has text copied during the call.
    static payload copy(std::string_view text) noexcept { return copy(bytes_of(text)); }

    /// Payload as C describes it, in as many slices as there are. The array of slices must live until the call has returned;
    /// `release` of it is called by the library, and only once the call has succeeded.
    static payload of(const iscsicore_payload &described) noexcept {
        payload made;
        made.described_ = described;
        made.is_described_ = true;
        return made;
    }

    payload(payload &&other) noexcept
        : slice_(other.slice_), described_(other.described_), is_described_(other.is_described_),
          loan_(std::move(other.loan_)) {
        other.forget();
    }

    payload &operator=(payload &&other) noexcept {
        if (this != &other) {
            loan_ = std::move(other.loan_);
            slice_ = other.slice_;
            described_ = other.described_;
            is_described_ = other.is_described_;
            other.forget();
        }
        return *this;
    }

    /// How many bytes.
    std::size_t size() const noexcept {
        if (!is_described_) {
            return slice_.iov_len;
        }
        std::size_t total = 0;
        for (const iscsicore_iovec &slice : slices(described_.slices, described_.count)) {
            total += slice.iov_len;
        }
        return total;
    }

    /// Makes a call with the payload as C has it, which takes it if it succeeds.
    template <class Call>
    auto hand_over(Call &&with) {
        const iscsicore_payload described = describe();
        auto ended = std::forward<Call>(with)(&described);
        // After a bug of the library nobody knows whether it will release the payload: it stays for ever.
        if (ended.has_value() || ended.status() == ISCSICORE_STATUS_PANICKED) {
            (void)loan_.release();
            forget();
        }
        return ended;
    }

private:
    payload(iscsicore_iovec slice, std::unique_ptr<detail::loan> loan) noexcept
        : slice_(slice), loan_(std::move(loan)) {}

    iscsicore_payload describe() const noexcept {
        iscsicore_payload made = described_;
        if (!is_described_) {
            made.slices = &slice_;
            made.count = 1;
        }
        if (loan_) {
            made.release = &detail::loan::release;
            made.context = loan_.get();
        }
        return made;
    }

    void forget() noexcept {
        slice_ = {};
        described_ = {};
        is_described_ = false;
    }

    /// The memory, in one slice, unless `described_` says where it is.
    iscsicore_iovec slice_{};
    iscsicore_payload described_{};
    bool is_described_ = false;
    /// What is destroyed when the memory is used no more, unless `described_` says what is called then.
    std::unique_ptr<detail::loan> loan_;
};

}  // namespace ISCSICORE_ABI
}  // namespace iscsicore

#endif
