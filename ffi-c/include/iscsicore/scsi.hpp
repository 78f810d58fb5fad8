/// What SCSI answers mean.
///
/// Include iscsicore.hpp, which includes this.
#ifndef ISCSICORE_SCSI_HPP
#define ISCSICORE_SCSI_HPP

#include "memory.hpp"

namespace iscsicore {
inline namespace ISCSICORE_ABI {

/// What people call a SCSI status. The string lives for ever.
inline const char *scsi_status_text(int status) noexcept { return iscsicore_scsi_status_text(status); }

/// What people call a command.
inline result<std::string> command_name(bytes cdb) {
    return detail::filled<std::string>(iscsicore_cdb_name, cdb.data(), cdb.size());
}

inline result<iscsicore_sense> decode_sense(bytes sense) {
    return detail::fetch<iscsicore_sense>(iscsicore_sense_decode, sense.data(), sense.size());
}

/// Sense data, in descriptor format or fixed.
inline result<std::vector<std::uint8_t>> encode_sense(const iscsicore_sense &sense, bool descriptor = false) {
    return detail::filled<std::vector<std::uint8_t>>(iscsicore_sense_encode, &sense, descriptor ? 1 : 0);
}

/// Sense data as people read them.
inline result<std::string> sense_text(bytes sense) {
    return detail::filled<std::string>(iscsicore_sense_text, sense.data(), sense.size());
}

/// The answer to READ CAPACITY(10), or (16).
inline result<iscsicore_capacity> decode_capacity(bytes answer, bool is_16) {
    return detail::fetch<iscsicore_capacity>(iscsicore_capacity_decode, answer.data(), answer.size(),
                                             is_16 ? 1 : 0);
}

/// Standard INQUIRY data.
inline result<iscsicore_inquiry> decode_inquiry(bytes answer) {
    return detail::fetch<iscsicore_inquiry>(iscsicore_inquiry_decode, answer.data(), answer.size());
}

/// The answer to REPORT LUNS.
inline result<std::vector<std::uint64_t>> decode_luns(bytes answer) {
    return detail::filled<std::vector<std::uint64_t>>(iscsicore_luns_decode, answer.data(), answer.size());
}

/// The answer to GET LBA STATUS.
inline result<std::vector<iscsicore_lba_status>> decode_lba_status(bytes answer) {
    return detail::filled<std::vector<iscsicore_lba_status>>(iscsicore_lba_status_decode, answer.data(),
                                                             answer.size());
}

/// The answer to PERSISTENT RESERVE IN (READ KEYS), and PRGENERATION.
inline result<std::vector<std::uint64_t>> decode_keys(bytes answer, std::uint32_t &generation) {
    return detail::filled<std::vector<std::uint64_t>>(iscsicore_pr_keys_decode, answer.data(), answer.size(),
                                                      &generation);
}

/// The answer to PERSISTENT RESERVE IN (READ RESERVATION).
inline result<iscsicore_reservation> decode_reservation(bytes answer) {
    return detail::fetch<iscsicore_reservation>(iscsicore_pr_reservation_decode, answer.data(), answer.size());
}

/// The codes in the Supported VPD Pages page (00h).
inline result<std::vector<std::uint8_t>> vpd_pages(bytes page) {
    return detail::filled<std::vector<std::uint8_t>>(iscsicore_vpd_pages_decode, page.data(), page.size());
}

/// The serial number in the Unit Serial Number page (80h).
inline result<std::string> vpd_serial(bytes page) {
    return detail::filled<std::string>(iscsicore_vpd_serial_decode, page.data(), page.size());
}

/// A name in the Device Identification page (83h).
struct designator {
    iscsicore_designator about;
    std::string name;
};

/// All names in the Device Identification page (83h).
inline result<std::vector<designator>> vpd_designators(bytes page) {
    std::vector<designator> all;
    for (;;) {
        iscsicore_designator about{};
        auto name = detail::filled<std::string>(iscsicore_vpd_designator_decode, page.data(), page.size(), all.size(), &about);
        if (name.status() == ISCSICORE_STATUS_UNKNOWN) {
            return all;
        }
        if (!name) {
            return failure(name.status(), name.message());
        }
        all.push_back(designator{about, std::move(*name)});
    }
}

/// The Block Limits page (B0h).
inline result<iscsicore_block_limits> vpd_block_limits(bytes page) {
    return detail::fetch<iscsicore_block_limits>(iscsicore_vpd_block_limits_decode, page.data(), page.size());
}

/// The Block Device Characteristics page (B1h).
inline result<iscsicore_block_characteristics> vpd_block_characteristics(bytes page) {
    return detail::fetch<iscsicore_block_characteristics>(iscsicore_vpd_block_characteristics_decode, page.data(),
                                                          page.size());
}

/// The Logical Block Provisioning page (B2h).
inline result<iscsicore_provisioning> vpd_provisioning(bytes page) {
    return detail::fetch<iscsicore_provisioning>(iscsicore_vpd_provisioning_decode, page.data(), page.size());
}

/// The Extended INQUIRY Data page (86h).
inline result<iscsicore_extended_inquiry> vpd_extended_inquiry(bytes page) {
    return detail::fetch<iscsicore_extended_inquiry>(iscsicore_vpd_extended_inquiry_decode, page.data(), page.size());
}

}  // namespace ISCSICORE_ABI
}  // namespace iscsicore

#endif
