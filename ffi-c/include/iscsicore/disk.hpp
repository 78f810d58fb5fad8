/// A disk by itself: SCSI commands in, operations on storage out.
///
/// Include iscsicore.hpp, which includes this.
#ifndef ISCSICORE_DISK_HPP
#define ISCSICORE_DISK_HPP

#include "payload.hpp"

namespace iscsicore {
inline namespace ISCSICORE_ABI {

/// A command that a disk carries out.
class disk_command : public detail::handle<disk_command, iscsicore_disk_command, iscsicore_disk_command_free> {
public:
    /// REPORT LUNS, which is about more than one unit.
    static result<disk_command> report_luns(bytes cdb, span<const std::uint64_t> luns) {
        return detail::make<disk_command>(iscsicore_disk_command_report_luns, cdb.data(), cdb.size(), luns.data(), luns.size());
    }

    /// A command for a LUN that has no unit.
    static result<disk_command> absent_unit(bytes cdb) {
        return detail::make<disk_command>(iscsicore_disk_command_absent_unit, cdb.data(), cdb.size());
    }

    /// What is to be done for it next; lives until the command is resumed or destroyed.
    result<const iscsicore_step *> step() const {
        return detail::fetch<const iscsicore_step *>(iscsicore_disk_command_step, get());
    }
};

/// A disk, as SCSI commands see it.
class unit : public detail::handle<unit, iscsicore_unit, iscsicore_unit_free> {
public:
    static result<unit> create(const iscsicore_unit_options &options) {
        return detail::make<unit>(iscsicore_unit_new, &options);
    }

    /// A nexus, a number of the program's, may send commands from now on.
    result<void> attach(std::uint64_t nexus, bool relogin) {
        return detail::call(iscsicore_unit_attach, get(), nexus, relogin ? 1 : 0);
    }

    result<void> detach(std::uint64_t nexus) { return detail::call(iscsicore_unit_detach, get(), nexus); }

    /// What a nexus may do.
    result<void> set_access(std::uint64_t nexus, iscsicore_access access) {
        return detail::call(iscsicore_unit_set_access, get(), nexus, access);
    }

    /// The target port that a nexus uses, as the unit describes it.
    result<void> set_port(std::uint64_t nexus, const char *target_port_name, std::uint16_t relative_id) {
        return detail::call(iscsicore_unit_set_port, get(), nexus, target_port_name, relative_id);
    }

    /// Every initiator learns of it; commands from before can only be destroyed.
    result<void> reset(iscsicore_reset_cause cause) {
        return detail::call(iscsicore_unit_reset, get(), cause);
    }

    /// Gives it another capacity.
    result<void> resize(std::uint64_t blocks) { return detail::call(iscsicore_unit_resize, get(), blocks); }

    /// Its capacity in blocks.
    result<std::uint64_t> blocks() const {
        std::uint64_t count = 0;
        auto ended = detail::call(iscsicore_unit_blocks, get(), &count, nullptr);
        return ended ? result<std::uint64_t>(count) : failure(ended.status(), ended.message());
    }

    /// Bytes in a block.
    result<std::uint32_t> block_size() const {
        std::uint64_t count = 0;
        std::uint32_t size = 0;
        auto ended = detail::call(iscsicore_unit_blocks, get(), &count, &size);
        return ended ? result<std::uint32_t>(size) : failure(ended.status(), ended.message());
    }

    /// Tells the nexus `of` that `by` has cleared its commands.
    result<void> tasks_cleared(std::uint64_t by, std::uint64_t of) {
        return detail::call(iscsicore_unit_tasks_cleared, get(), by, of);
    }

    /// Tells a nexus that commands of it were ended by the protocol.
    result<void> tasks_terminated(std::uint64_t nexus) {
        return detail::call(iscsicore_unit_tasks_terminated, get(), nexus);
    }

    /// Tells a nexus that REPORT LUNS has another answer; with `reported`, that it has asked by itself.
    result<void> luns_changed(std::uint64_t nexus, bool reported = false) {
        return detail::call(iscsicore_unit_luns_changed, get(), nexus, reported ? 1 : 0);
    }

    /// Begins with a command: see disk_command::step.
    result<disk_command> start(std::uint64_t nexus, bytes cdb, iscsicore_task_attribute attribute,
                               std::uint32_t data_in, std::uint32_t data_out) {
        return detail::make<disk_command>(iscsicore_unit_start, get(), nexus, cdb.data(), cdb.size(), attribute,
                                          data_in, data_out);
    }

    /// An operation other than a read has ended, or a read has failed. `at` is the offset of a medium error.
    result<void> resume(disk_command &which, iscsicore_io io, std::uint64_t at = 0) {
        return detail::call(iscsicore_unit_resume, get(), which.get(), io, at);
    }

    /// A read has ended, with its data.
    result<void> resume_read(disk_command &which, payload &&data) {
        return data.hand_over([&](const iscsicore_payload *lent) {
            return detail::call(iscsicore_unit_resume_read, get(), which.get(), lent);
        });
    }

    /// The extents of a range are known.
    result<void> resume_extents(disk_command &which, span<const iscsicore_extent> extents) {
        return detail::call(iscsicore_unit_resume_extents, get(), which.get(), extents.data(), extents.size());
    }

    /// The payload that the initiator has sent is here.
    result<void> resume_data(disk_command &which, payload &&data) {
        return data.hand_over([&](const iscsicore_payload *lent) {
            return detail::call(iscsicore_unit_resume_data, get(), which.get(), lent);
        });
    }
};

}  // namespace ISCSICORE_ABI
}  // namespace iscsicore

#endif
