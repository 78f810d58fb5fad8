/// SCSI commands on their way to a target.
///
/// Include iscsicore.hpp, which includes this.
#ifndef ISCSICORE_COMMAND_HPP
#define ISCSICORE_COMMAND_HPP

#include "payload.hpp"

namespace iscsicore {
inline namespace ISCSICORE_ABI {

/// A SCSI command, to be submitted as often as its maker likes.
///
/// Payload that is moved in is the library's until the command and all its submissions have ended. When a command cannot be
/// made it stays in the object that it was moved from.
class command : public detail::handle<command, iscsicore_command, iscsicore_command_free> {
public:
    /// Any command.
    static result<command> create(std::uint64_t lun, bytes cdb, std::uint32_t data_in,
                                  payload &&data_out = payload()) {
        return data_out.hand_over([&](const iscsicore_payload *lent) {
            return detail::make<command>(iscsicore_command_new, lun, cdb.data(), cdb.size(), data_in, lent);
        });
    }

    /// READ(10) or (16).
    static result<command> read(std::uint64_t lun, std::uint64_t lba, std::uint32_t blocks, std::uint32_t block_size) {
        return detail::make<command>(iscsicore_command_read, lun, lba, blocks, block_size);
    }

    /// WRITE(10) or (16) of whole blocks.
    static result<command> write(std::uint64_t lun, std::uint64_t lba, payload &&data, std::uint32_t block_size) {
        return data.hand_over([&](const iscsicore_payload *lent) {
            return detail::make<command>(iscsicore_command_write, lun, lba, lent, block_size);
        });
    }

    /// SYNCHRONIZE CACHE of the whole unit.
    static result<command> flush(std::uint64_t lun) {
        return detail::make<command>(iscsicore_command_flush, lun);
    }

    /// SYNCHRONIZE CACHE; 0 blocks are all up to the end.
    static result<command> flush_range(std::uint64_t lun, std::uint64_t lba, std::uint32_t blocks) {
        return detail::make<command>(iscsicore_command_flush_range, lun, lba, blocks);
    }

    /// VERIFY: whether the unit can read the blocks.
    static result<command> verify(std::uint64_t lun, std::uint64_t lba, std::uint32_t blocks) {
        return detail::make<command>(iscsicore_command_verify, lun, lba, blocks);
    }

    /// VERIFY that compares the blocks with data.
    static result<command> verify_data(std::uint64_t lun, std::uint64_t lba, payload &&data, std::uint32_t block_size) {
        return data.hand_over([&](const iscsicore_payload *lent) {
            return detail::make<command>(iscsicore_command_verify_data, lun, lba, lent, block_size);
        });
    }

    /// COMPARE AND WRITE: what is to be there, and what is to be written, one behind the other.
    static result<command> compare_and_write(std::uint64_t lun, std::uint64_t lba, payload &&data,
                                             std::uint8_t blocks) {
        return data.hand_over([&](const iscsicore_payload *lent) {
            return detail::make<command>(iscsicore_command_compare_and_write, lun, lba, lent, blocks);
        });
    }

    /// UNMAP.
    static result<command> unmap(std::uint64_t lun, span<const iscsicore_blocks> ranges) {
        return detail::make<command>(iscsicore_command_unmap, lun, ranges.data(), ranges.size());
    }

    /// WRITE SAME of one block.
    static result<command> write_same(std::uint64_t lun, std::uint64_t lba, std::uint32_t blocks, payload &&block,
                                      iscsicore_deallocate deallocate = ISCSICORE_DEALLOCATE_NO) {
        return block.hand_over([&](const iscsicore_payload *lent) {
            return detail::make<command>(iscsicore_command_write_same, lun, lba, blocks, lent, deallocate);
        });
    }

    /// WRITE SAME of zeros, none of which are sent.
    static result<command> write_zeroes(std::uint64_t lun, std::uint64_t lba, std::uint32_t blocks,
                                        iscsicore_deallocate deallocate) {
        return detail::make<command>(iscsicore_command_write_zeroes, lun, lba, blocks, deallocate);
    }

    /// GET LBA STATUS.
    static result<command> get_lba_status(std::uint64_t lun, std::uint64_t lba, std::uint32_t allocation_len) {
        return detail::make<command>(iscsicore_command_get_lba_status, lun, lba, allocation_len);
    }

    /// TEST UNIT READY.
    static result<command> test_unit_ready(std::uint64_t lun) {
        return detail::make<command>(iscsicore_command_test_unit_ready, lun);
    }

    /// INQUIRY for the standard data.
    static result<command> inquiry(std::uint64_t lun) {
        return detail::make<command>(iscsicore_command_inquiry, lun);
    }

    /// INQUIRY for a vital product data page.
    static result<command> vpd(std::uint64_t lun, std::uint8_t page) {
        return detail::make<command>(iscsicore_command_vpd, lun, page);
    }

    /// READ CAPACITY(10).
    static result<command> read_capacity_10(std::uint64_t lun) {
        return detail::make<command>(iscsicore_command_read_capacity_10, lun);
    }

    /// READ CAPACITY(16).
    static result<command> read_capacity_16(std::uint64_t lun) {
        return detail::make<command>(iscsicore_command_read_capacity_16, lun);
    }

    /// REPORT LUNS.
    static result<command> report_luns(std::uint64_t lun) {
        return detail::make<command>(iscsicore_command_report_luns, lun);
    }

    /// REQUEST SENSE.
    static result<command> request_sense(std::uint64_t lun, bool descriptor) {
        return detail::make<command>(iscsicore_command_request_sense, lun, descriptor ? 1 : 0);
    }

    /// REPORT SUPPORTED OPERATION CODES for all commands.
    static result<command> report_supported_opcodes(std::uint64_t lun) {
        return detail::make<command>(iscsicore_command_report_supported_opcodes, lun);
    }

    /// REPORT SUPPORTED OPERATION CODES for one.
    static result<command> report_opcode_support(std::uint64_t lun, std::uint8_t opcode,
                                                 std::optional<std::uint16_t> service_action) {
        return detail::make<command>(iscsicore_command_report_opcode_support, lun, opcode,
                                     service_action ? std::int32_t{*service_action} : -1);
    }

    /// MODE SENSE(6).
    static result<command> mode_sense_6(std::uint64_t lun, std::uint8_t page, std::uint8_t subpage = 0,
                                        iscsicore_page_control control = ISCSICORE_PAGE_CONTROL_CURRENT) {
        return detail::make<command>(iscsicore_command_mode_sense_6, lun, page, subpage, control);
    }

    /// MODE SENSE(10).
    static result<command> mode_sense_10(std::uint64_t lun, std::uint8_t page, std::uint8_t subpage = 0,
                                         iscsicore_page_control control = ISCSICORE_PAGE_CONTROL_CURRENT) {
        return detail::make<command>(iscsicore_command_mode_sense_10, lun, page, subpage, control);
    }

    /// MODE SELECT(6) of one page, header included.
    static result<command> mode_select_6(std::uint64_t lun, bytes page, bool save) {
        return detail::make<command>(iscsicore_command_mode_select_6, lun, page.data(), page.size(), save ? 1 : 0);
    }

    /// MODE SELECT(10) of one page, header included.
    static result<command> mode_select_10(std::uint64_t lun, bytes page, bool save) {
        return detail::make<command>(iscsicore_command_mode_select_10, lun, page.data(), page.size(), save ? 1 : 0);
    }

    /// START STOP UNIT.
    static result<command> start_stop(std::uint64_t lun, iscsicore_start_stop to) {
        return detail::make<command>(iscsicore_command_start_stop, lun, to);
    }

    /// PERSISTENT RESERVE IN.
    static result<command> pr_in(std::uint64_t lun, iscsicore_pr_in_action action) {
        return detail::make<command>(iscsicore_command_pr_in, lun, action);
    }

    /// PERSISTENT RESERVE OUT.
    static result<command> pr_out(std::uint64_t lun, const iscsicore_pr_out &what) {
        return detail::make<command>(iscsicore_command_pr_out, lun, &what);
    }

    /// RESERVE(6).
    static result<command> reserve_6(std::uint64_t lun) {
        return detail::make<command>(iscsicore_command_reserve_6, lun);
    }

    /// RELEASE(6).
    static result<command> release_6(std::uint64_t lun) {
        return detail::make<command>(iscsicore_command_release_6, lun);
    }

    /// Has received payload put there, without a copy where that is possible. The memory stays the caller's, and must live,
    /// untouched, until the end of every submission was told.
    result<void> set_buffer(span<std::uint8_t> memory) {
        return detail::call(iscsicore_command_set_buffer, get(), static_cast<void *>(memory.data()), memory.size());
    }

    /// Gives it a pointer of the caller's, which comes back with the end of every submission.
    result<void> set_context(void *context) { return detail::call(iscsicore_command_set_context, get(), context); }

    /// Gives it so much time, from its submission to its end; 0 is without limit.
    result<void> set_timeout(std::chrono::nanoseconds time) {
        return detail::call(iscsicore_command_set_timeout, get(), nanos(time));
    }

    result<void> set_attribute(iscsicore_task_attribute attribute) {
        return detail::call(iscsicore_command_set_attribute, get(), attribute);
    }

    /// 1 to 15, the most urgent first; 0 is none.
    result<void> set_priority(int priority) {
        return detail::call(iscsicore_command_set_priority, get(), priority);
    }

    /// Whether it may be sent again after the loss of a connection.
    result<void> set_repeat(iscsicore_repeat repeat) {
        return detail::call(iscsicore_command_set_repeat, get(), repeat);
    }

    /// What happens when the target answers "not now".
    result<void> set_transient(iscsicore_transient transient) {
        return detail::call(iscsicore_command_set_transient, get(), transient);
    }

    /// FUA and DPO of commands that have them.
    result<void> set_access(bool fua, bool dpo) {
        return detail::call(iscsicore_command_set_access, get(), fua ? 1 : 0, dpo ? 1 : 0);
    }

    /// Room for an answer of so many bytes.
    result<void> make_room(std::uint32_t len) { return detail::call(iscsicore_command_make_room, get(), len); }

    /// How long an answer is as its beginning says; 0 when it does not.
    result<std::uint32_t> stated_len(bytes answer) const {
        return detail::fetch<std::uint32_t>(iscsicore_command_stated_len, get(), answer.data(), answer.size());
    }

    result<std::vector<std::uint8_t>> cdb() const {
        return detail::filled<std::vector<std::uint8_t>>(iscsicore_command_cdb, get());
    }

    /// The most bytes that it may receive.
    result<std::uint32_t> data_in() const {
        return detail::fetch<std::uint32_t>(iscsicore_command_data_in, get());
    }

    /// How many bytes it sends.
    result<std::size_t> data_out() const {
        return detail::fetch<std::size_t>(iscsicore_command_data_out, get());
    }
};

}  // namespace ISCSICORE_ABI
}  // namespace iscsicore

#endif
