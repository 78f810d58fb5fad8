/// An initiator in C++: lists the targets of a portal, copies a disk into a file, or compares it with one.
///
///     initiator list 127.0.0.1:3260
///     initiator copy 127.0.0.1:3260 iqn.2001-04.com.example:disk 0 disk.img
///     initiator verify 127.0.0.1:3260 iqn.2001-04.com.example:disk 0 disk.img
///
/// A target that asks for CHAP: put the name into ISCSI_USER and the secret into ISCSI_SECRET.
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "connection.hpp"

namespace ic = iscsicore;

namespace {

/// Bytes of one READ, and how many of them are outstanding.
constexpr std::uint64_t CHUNK = 256 * 1024;
constexpr std::size_t DEPTH = 8;

class file {
public:
    file(const char *path, bool write)
        : fd_(open(path, write ? O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC : O_RDONLY | O_CLOEXEC, 0666)) {
        check(fd_ >= 0);
    }
    ~file() { close(fd_); }
    file(const file &) = delete;
    file &operator=(const file &) = delete;

    std::uint64_t size() const {
        struct stat about;
        check(fstat(fd_, &about) == 0);
        return static_cast<std::uint64_t>(about.st_size);
    }

    void write(ic::bytes data, std::uint64_t at) const {
        while (!data.empty()) {
            const ssize_t len = pwrite(fd_, data.data(), data.size(), static_cast<off_t>(at));
            check(len >= 0);
            data = data.subspan(static_cast<std::size_t>(len));
            at += static_cast<std::uint64_t>(len);
        }
    }

    /// What is there, up to the end of the file.
    std::vector<std::uint8_t> read(std::size_t len, std::uint64_t at) const {
        std::vector<std::uint8_t> data(len);
        std::size_t have = 0;
        while (have < len) {
            const ssize_t more = pread(fd_, data.data() + have, len - have, static_cast<off_t>(at + have));
            check(more >= 0);
            if (more == 0) {
                break;
            }
            have += static_cast<std::size_t>(more);
        }
        data.resize(have);
        return data;
    }

    void sync() const { check(fsync(fd_) == 0); }

private:
    static void check(bool good) {
        if (!good) {
            throw std::runtime_error(std::strerror(errno));
        }
    }

    int fd_;
};

/// Reads a whole disk with several commands at a time, each into a buffer of its own, and hands the pieces over in whatever
/// order they arrive.
class reader {
public:
    using piece = std::function<void(std::uint64_t at, ic::bytes data)>;

    reader(client &with, std::uint64_t lun, piece each) : client_(with), lun_(lun), each_(std::move(each)) {
        const auto answer = client_.ask(ic::command::read_capacity_16(lun).value());
        const iscsicore_capacity capacity = ic::decode_capacity(answer, true).value();
        block_size_ = capacity.block_size;
        blocks_ = capacity.blocks;
    }

    std::uint64_t size() const { return blocks_ * block_size_; }

    void run() {
        for (std::size_t i = 0; i < DEPTH; ++i) {
            buffers_.emplace_back(CHUNK);
        }
        for (auto &buffer : buffers_) {
            next(buffer);
        }
        client_.run_until([this] { return outstanding_ == 0; });
    }

private:
    void next(std::vector<std::uint8_t> &buffer) {
        const std::uint64_t blocks = std::min(CHUNK / block_size_, blocks_ - next_);
        if (blocks == 0) {
            return;
        }
        const std::uint64_t at = next_ * block_size_;
        const auto len = static_cast<std::size_t>(blocks * block_size_);
        ic::command command =
            ic::command::read(lun_, next_, static_cast<std::uint32_t>(blocks), block_size_).value();
        // The payload goes from the socket straight to there.
        command.set_buffer(ic::span<std::uint8_t>(buffer).first(len)).value();
        next_ += blocks;
        ++outstanding_;
        client_.submit(command, [this, &buffer, at, len](const iscsicore_completed_event &ended) {
            if (const std::string trouble = words(ended); !trouble.empty()) {
                throw std::runtime_error(trouble);
            }
            if (ended.received != len) {
                throw std::runtime_error("the target sent less than it was asked for");
            }
            each_(at, ic::bytes(buffer).first(len));
            --outstanding_;
            next(buffer);
        });
    }

    client &client_;
    std::uint64_t lun_;
    piece each_;
    std::uint32_t block_size_ = 0;
    std::uint64_t blocks_ = 0;
    std::uint64_t next_ = 0;
    std::size_t outstanding_ = 0;
    std::vector<std::vector<std::uint8_t>> buffers_;
};

void copy(client &with, std::uint64_t lun, const char *path) {
    const file to(path, true);
    reader disk(with, lun, [&to](std::uint64_t at, ic::bytes data) { to.write(data, at); });
    disk.run();
    to.sync();
    std::printf("copied %llu bytes\n", static_cast<unsigned long long>(disk.size()));
}

void verify(client &with, std::uint64_t lun, const char *path) {
    const file from(path, false);
    std::uint64_t first = UINT64_MAX;
    reader disk(with, lun, [&](std::uint64_t at, ic::bytes data) {
        const std::vector<std::uint8_t> wanted = from.read(data.size(), at);
        const auto [differs, end] = std::mismatch(wanted.begin(), wanted.end(), data.begin());
        if (differs != wanted.end() || end != data.end()) {
            first = std::min(first, at + static_cast<std::uint64_t>(differs - wanted.begin()));
        }
    });
    disk.run();
    if (first != UINT64_MAX || from.size() != disk.size()) {
        throw std::runtime_error("the disk differs from " + std::string(path) +
                                 (first == UINT64_MAX ? " in size" : ", first at byte " + std::to_string(first)));
    }
    std::printf("verified %llu bytes\n", static_cast<unsigned long long>(disk.size()));
}

void list(client &with) {
    with.discover([](const iscsicore_target_record &target) {
        std::printf("%s\n", target.name);
        for (const auto &portal :
             ic::span<const iscsicore_target_address>(target.addresses, target.address_count)) {
            std::printf("  %s,%u\n", portal.address, static_cast<unsigned>(portal.portal_group_tag));
        }
    });
}

int usage() {
    std::fprintf(stderr, "usage: initiator list ADDRESS\n"
                         "       initiator copy|verify ADDRESS TARGET LUN FILE\n");
    return 2;
}

int run(int argc, char **argv) {
    const std::string what = argc > 1 ? argv[1] : "";
    if (!(what == "list" && argc == 3) && !((what == "copy" || what == "verify") && argc == 6)) {
        return usage();
    }
    const auto limits = ic::options<iscsicore_limits>();
    auto options = ic::options<iscsicore_initiator_options>();
    options.address = argv[2];
    options.initiator = "iqn.2001-04.com.example:initiator";
    options.target = what == "list" ? nullptr : argv[3];
    options.limits = &limits;
    options.give_up_after = ic::nanos(std::chrono::seconds(30));
    const char *user = std::getenv("ISCSI_USER");
    const char *secret = std::getenv("ISCSI_SECRET");
    if (user != nullptr && secret != nullptr) {
        const ic::bytes bytes = ic::bytes_of(ic::text(secret));
        options.user = user;
        options.secret = bytes.data();
        options.secret_len = bytes.size();
    }
    client with(options, limits);
    with.connect();
    if (what == "list") {
        list(with);
    } else {
        char *end = nullptr;
        const unsigned long number = std::strtoul(argv[4], &end, 10);
        if (end == argv[4] || *end != '\0' || number > 16383) {
            return usage();
        }
        const std::uint64_t lun = ic::make_lun(static_cast<std::uint16_t>(number)).value();
        (what == "copy" ? copy : verify)(with, lun, argv[5]);
    }
    with.logout();
    return 0;
}

}  // namespace

int main(int argc, char **argv) {
    try {
        return run(argc, argv);
    } catch (const std::exception &error) {
        std::fprintf(stderr, "initiator: %s\n", error.what());
        return 1;
    }
}
