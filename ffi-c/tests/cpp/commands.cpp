/// Every function that makes a command makes the one that it is named after; answers of all kinds are read.
#include <cstring>
#include <string>

#include "check.hpp"

namespace {

std::string name(const ic::command &command) { return ic::command_name(command.cdb().value()).value(); }

std::string name(ic::result<ic::command> made) { return name(made.value()); }

ic::payload zeros(std::size_t len) { return ic::payload::lend(std::vector<std::uint8_t>(len)); }

void commands_are_what_they_are_called() {
    using c = ic::command;
    CHECK(name(c::read(0, 1, 2, 512)) == "READ(10)");
    CHECK(name(c::read(0, std::uint64_t{1} << 40, 2, 512)) == "READ(16)");
    CHECK(name(c::write(0, 1, zeros(1024), 512)) == "WRITE(10)");
    CHECK(name(c::flush(0)) == "SYNCHRONIZE CACHE(10)");
    CHECK(name(c::flush_range(0, std::uint64_t{1} << 40, 1)) == "SYNCHRONIZE CACHE(16)");
    CHECK(name(c::verify(0, 0, 1)) == "VERIFY(10)");
    CHECK(name(c::verify_data(0, 0, zeros(512), 512)) == "VERIFY(10)");
    CHECK(name(c::compare_and_write(0, 0, zeros(1024), 1)) == "COMPARE AND WRITE");
    const iscsicore_blocks ranges[] = {{0, 8, 0}, {16, 8, 0}};
    CHECK(name(c::unmap(0, ranges)) == "UNMAP");
    CHECK(name(c::write_same(0, 0, 8, zeros(512))).rfind("WRITE SAME", 0) == 0);
    CHECK(name(c::write_zeroes(0, 0, 8, ISCSICORE_DEALLOCATE_ALLOWED)) == "WRITE SAME(16)");
    CHECK(name(c::get_lba_status(0, 0, 512)) == "GET LBA STATUS");
    CHECK(name(c::test_unit_ready(0)) == "TEST UNIT READY");
    CHECK(name(c::inquiry(0)) == "INQUIRY" && name(c::vpd(0, 0x83)) == "INQUIRY");
    CHECK(name(c::read_capacity_10(0)) == "READ CAPACITY(10)");
    CHECK(name(c::read_capacity_16(0)) == "READ CAPACITY(16)");
    CHECK(name(c::report_luns(0)) == "REPORT LUNS" && name(c::request_sense(0, true)) == "REQUEST SENSE");
    const std::string opcodes = "REPORT SUPPORTED OPERATION CODES";
    CHECK(name(c::report_supported_opcodes(0)) == opcodes);
    CHECK(name(c::report_opcode_support(0, 0x28, std::nullopt)) == opcodes);
    CHECK(c::report_opcode_support(0, 0x9e, std::uint16_t{0x10}).value().cdb().value()[5] == 0x10);
    CHECK(name(c::mode_sense_6(0, 8)) == "MODE SENSE(6)" && name(c::mode_sense_10(0, 8, 0)) == "MODE SENSE(10)");
    const std::array<std::uint8_t, 12> page{0x0a, 10};
    CHECK(name(c::mode_select_6(0, page, false)) == "MODE SELECT(6)");
    CHECK(name(c::mode_select_10(0, page, true)) == "MODE SELECT(10)");
    CHECK(name(c::start_stop(0, ISCSICORE_START_STOP_STOP)) == "START STOP UNIT");
    CHECK(name(c::pr_in(0, ISCSICORE_PR_IN_ACTION_READ_KEYS)) == "PERSISTENT RESERVE IN (READ KEYS)");
    auto out = ic::options<iscsicore_pr_out>();
    out.action = ISCSICORE_PR_OUT_ACTION_REGISTER;
    out.new_key = 1;
    CHECK(name(c::pr_out(0, out)) == "PERSISTENT RESERVE OUT (REGISTER)");
    CHECK(name(c::reserve_6(0)) == "RESERVE(6)" && name(c::release_6(0)) == "RELEASE(6)");
}

void commands_are_set() {
    const std::array<std::uint8_t, 6> cdb{0x12, 0, 0, 0, 36, 0};
    ic::command own = ic::command::create(0, cdb, 36).value();
    CHECK(name(own) == "INQUIRY" && own.data_in().value() == 36 && own.data_out().value() == 0);
    own.set_attribute(ISCSICORE_TASK_ATTRIBUTE_HEAD_OF_QUEUE).value();
    own.set_priority(15).value();
    CHECK(own.set_priority(16).status() == ISCSICORE_STATUS_INVALID_ARGUMENT);
    own.set_repeat(ISCSICORE_REPEAT_SAFE).value();
    own.set_transient(ISCSICORE_TRANSIENT_RETRY).value();
    own.set_timeout(std::chrono::minutes(1)).value();
    CHECK(own.set_access(true, true).status() == ISCSICORE_STATUS_WRONG_STATE);
    own.set_buffer(ic::span<std::uint8_t>()).value();
    ic::command read = ic::command::read(0, 0, 1, 512).value();
    read.set_access(true, false).value();
    CHECK(read.cdb().value()[1] == 8);

    ic::command luns = ic::command::report_luns(0).value();
    const std::array<std::uint8_t, 8> answer{0, 0, 0x40, 0};
    CHECK(luns.stated_len(answer).value() == 0x4008);
    luns.make_room(0x4008).value();
    CHECK(luns.data_in().value() >= 0x4008);

    // A CDB longer than the wrapper's first buffer, and one that is none.
    const std::vector<std::uint8_t> longest(200, 0x7f);
    CHECK(ic::command::create(0, longest, 0).value().cdb().value() == longest);
    CHECK(ic::command::create(0, ic::bytes(), 0).status() == ISCSICORE_STATUS_INVALID_ARGUMENT);

    auto kept = std::make_shared<const std::string>(100, 'x');
    ic::payload wrong = ic::payload::lend(kept);
    CHECK(ic::command::write(0, 0, std::move(wrong), 512).status() == ISCSICORE_STATUS_INVALID_ARGUMENT);
    CHECK(wrong.size() == 100);
    ic::command given = ic::command::create(0, cdb, 0, std::move(wrong)).value();
    CHECK(wrong.size() == 0 && given.data_out().value() == 100 && kept.use_count() == 2);
    given = ic::command();
    CHECK(kept.use_count() == 1);
}

/// A vital product data page with its header.
std::vector<std::uint8_t> page(std::uint8_t code, std::vector<std::uint8_t> rest) {
    std::vector<std::uint8_t> all{0, code, static_cast<std::uint8_t>(rest.size() >> 8),
                                  static_cast<std::uint8_t>(rest.size())};
    all.insert(all.end(), rest.begin(), rest.end());
    return all;
}

void pages_are_read() {
    CHECK(ic::vpd_pages(page(0, {0, 0x80, 0x83})).value() == std::vector<std::uint8_t>({0, 0x80, 0x83}));
    const std::string serial(200, 's');
    CHECK(ic::vpd_serial(page(0x80, std::vector<std::uint8_t>(serial.begin(), serial.end()))).value() == serial);
    // An NAA identifier of the unit and a relative port, one behind the other.
    const auto names = ic::vpd_designators(
        page(0x83, {1, 3, 0, 8, 0x30, 0, 0, 0, 0, 0, 0, 1, 1, 0x94, 0, 4, 0, 0, 0, 2})).value();
    CHECK(names.size() == 2 && names[0].name == "naa.3000000000000001" && names[0].about.designator_type == 3);
    CHECK(names[1].about.association == 1 && names[1].about.designator_type == 4);
    CHECK(ic::vpd_designators(page(0x80, {})).status() == ISCSICORE_STATUS_INVALID_ARGUMENT);

    std::vector<std::uint8_t> limits(60);
    limits[7] = 9;
    CHECK(ic::vpd_block_limits(page(0xb0, limits)).value().max_transfer == 9);
    std::vector<std::uint8_t> rest(60);
    rest[1] = 1;
    CHECK(ic::vpd_block_characteristics(page(0xb1, rest)).value().rotation_rate == 1);
    CHECK(ic::vpd_provisioning(page(0xb2, {0, 0x80, 2, 0})).value().unmap);
    CHECK(ic::vpd_extended_inquiry(page(0x86, rest)).value().max_sense_len == 0);
    CHECK(!ic::vpd_provisioning(page(0xb1, rest)) && !ic::decode_capacity(ic::bytes(), true));
}

void lists_are_read() {
    // Longer than the wrapper's first buffer.
    std::vector<std::uint8_t> luns(8 + 8 * 300);
    luns[2] = static_cast<std::uint8_t>((luns.size() - 8) >> 8);
    luns[3] = static_cast<std::uint8_t>(luns.size() - 8);
    luns[luns.size() - 7] = 7;
    const auto found = ic::decode_luns(luns).value();
    CHECK(found.size() == 300 && ic::lun_number(found.back()).value() == 7);

    const std::array<std::uint8_t, 24> status{0, 0, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 4, 1};
    const auto runs = ic::decode_lba_status(status).value();
    CHECK(runs.size() == 1 && runs[0].lba == 9 && runs[0].blocks == 4 && runs[0].status == 1);
    const std::array<std::uint8_t, 16> keys{0, 0, 0, 5, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 6};
    std::uint32_t generation = 0;
    CHECK(ic::decode_keys(keys, generation).value() == std::vector<std::uint64_t>{6} && generation == 5);
    const std::array<std::uint8_t, 24> held{0, 0, 0, 5, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 3};
    const auto reservation = ic::decode_reservation(held).value();
    CHECK(reservation.held && reservation.key == 6 && reservation.reservation_type == 3);
}

}  // namespace

int main() {
    commands_are_what_they_are_called();
    commands_are_set();
    pages_are_read();
    lists_are_read();
}
