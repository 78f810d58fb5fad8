/*
 * libiscsicore: iSCSI (RFC 7143 and RFC 7144) and a SCSI disk, target and initiator, for C.
 *
 * The library does no I/O. The program owns the sockets, the storage, the clock and the threads:
 * it reads bytes from a connection and hands them over, takes bytes and writes them, carries out
 * what the library asks for, and calls back when a deadline has come. The library knows the
 * protocol. It starts no thread, opens no file, reads no clock, and blocks nowhere.
 *
 * Rules for all functions, where their own comments say nothing else:
 *
 * Results.    A function returns an iscsicore_status; anything but ISCSICORE_STATUS_OK is a
 *             failure, which changed nothing, but for ISCSICORE_STATUS_PEER_ERROR, which tells of
 *             the peer, and ISCSICORE_STATUS_PANICKED. NULL for a handle or a result, options of a
 *             wrong size, and a handle in use are failures of every function, and are not told
 *             again in each comment. iscsicore_error_message says in words why the last
 *             call of this thread failed. Results are written through the last parameters, which
 *             must not be NULL. A failed call writes none of them, but it sets the place for a new
 *             handle to NULL, and when a buffer is too small it tells the length that is needed.
 * Handles.    A handle is a pointer to a struct that only the library can look into. What ends in
 *             _new makes one, which is the caller's; what ends in _free ends it, and takes NULL. A
 *             handle that was freed must not be used.
 * Threads.    A handle may go from thread to thread, and is used by one call at a time; different
 *             handles are independent of each other. A second call meanwhile, of another thread or
 *             from within a callback, fails with ISCSICORE_STATUS_BUSY. Do not rely on that to keep
 *             calls apart: use a lock, or one thread. Freeing a handle while a call uses it is the
 *             one such mistake that is not always found.
 * Pointers    are read during the call only, and may point to memory that is gone or changed
 *   in.       afterwards, except for payload that is lent (iscsicore_payload). NULL is taken where
 *             a comment says so, and for an array of no elements. Strings are UTF-8 and end with
 *             NUL.
 * Pointers    to strings, events, jobs and other structs that a function writes belong to the
 *   out.      library. They live until the next call of the same function on the same handle, or
 *             as long as the comment there says, and never longer than the handle.
 * Options.    A struct with a field `size` grows in later versions: set all of it to zero, `size` to
 *             its sizeof, then what is to differ from the default, which is always 0 or NULL. A
 *             program that was built with an older header goes on working.
 * Structs     that a program allocates and that have no `size`, and those that stand in arrays, never
 *   without   change. Structs that the library gives by pointer grow at their ends.
 *   size.
 * Payload     that is lent with a release function is not copied. It must stay where it is, and
 *   lent.     unchanged, until the function is called, once, from within any call, of any thread
 *             that uses the library. When the call that lends fails, nothing was lent, unless it
 *             failed with ISCSICORE_STATUS_PANICKED: then the memory must stay for ever.
 * Enums       that a program hands in are of type int: a number that is no value of the enum is
 *             ISCSICORE_STATUS_INVALID_ARGUMENT. Later versions may add values to enums that the
 *             library hands out: have a default in every switch.
 * Time        is a uint64_t: nanoseconds since an origin of the program's choice, which is the same
 *             for all handles that work together, and does not go back (CLOCK_MONOTONIC).
 *             ISCSICORE_NEVER stands for no deadline.
 * Ids         of links, tasks, jobs and requests are uint64_t. One that has ended is not used again
 *             for another: it is ISCSICORE_STATUS_UNKNOWN. 0 is none.
 * Callbacks   must return. A C++ exception or a longjmp must not leave one.
 * Memory.     When no memory is left the process is aborted, as by every library written in Rust.
 *             What a peer can make the library hold is bounded (iscsicore_limits).
 * Bugs.       A bug that the library meets in itself is ISCSICORE_STATUS_PANICKED, not a crash; a
 *             message is written to standard error, and the handle can only be freed.
 *
 * Generated from ffi-c/src by ffi-c/tests/header.rs: change it there.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef ISCSICORE_H
#define ISCSICORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#ifndef _WIN32
#include <sys/uio.h>
#endif

/** The version of this header; iscsicore_version tells that of the library. */
#define ISCSICORE_VERSION_MAJOR 0
#define ISCSICORE_VERSION_MINOR 1
#define ISCSICORE_VERSION_PATCH 0

#ifdef __cplusplus
extern "C" {
#endif

/** A piece of memory: `iov_base`, where it begins, and `iov_len`, how many bytes; as for readv. */
#ifdef _WIN32
typedef struct iscsicore_iovec {
    void *iov_base;
    size_t iov_len;
} iscsicore_iovec;
#else
typedef struct iovec iscsicore_iovec;
#endif

/* ==============================================================================================
 * How a call ended, and the version
 * ============================================================================================== */

/** How a call ended. */
typedef enum iscsicore_status {
    /** As it should. */
    ISCSICORE_STATUS_OK = 0,
    /** A pointer that must not be NULL is. */
    ISCSICORE_STATUS_NULL_POINTER = 1,
    /** An argument is out of its range, no value of its enum, malformed, or not UTF-8. */
    ISCSICORE_STATUS_INVALID_ARGUMENT = 2,
    /**
     * `size` of an options struct is too small, or the struct sets a field that this version of the
     * library does not have.
     */
    ISCSICORE_STATUS_INVALID_SIZE = 3,
    /** The buffer for the result is too small; nothing was written into it. */
    ISCSICORE_STATUS_BUFFER_TOO_SMALL = 4,
    /** The call does not fit the state that the handle is in. */
    ISCSICORE_STATUS_WRONG_STATE = 5,
    /** The task, job, request, link or unit has ended, or never was. */
    ISCSICORE_STATUS_UNKNOWN = 6,
    /**
     * As many commands as the queue takes are outstanding: try again after
     * ISCSICORE_NEXUS_EVENT_KIND_ROOM_AGAIN. Or a simple connection has not taken yet what it was
     * fed.
     */
    ISCSICORE_STATUS_QUEUE_FULL = 7,
    /** The handle is in use: by another thread, or by the call from which a callback was called. */
    ISCSICORE_STATUS_BUSY = 8,
    /**
     * The peer broke the protocol, or its login failed. What it is told is queued: transmit, then
     * close.
     */
    ISCSICORE_STATUS_PEER_ERROR = 9,
    /** The server takes no more connections now: close this one. */
    ISCSICORE_STATUS_REFUSED = 10,
    /** A bug of this library. The handle takes no more calls but the one that frees it. */
    ISCSICORE_STATUS_PANICKED = 11,
} iscsicore_status;

/** The version of the library, such as "0.1.0". The string lives for ever. Any thread. */
const char *iscsicore_version(void);

/**
 * What a status means, in words; for a number that is none, "unknown status". The string lives for
 * ever. Any thread.
 */
const char *iscsicore_status_text(int status);

/**
 * Why the last call of this thread that failed did so: what was wrong, and often with which value.
 * Empty when none has failed yet. The string has at most 1023 bytes. It stays until the next call
 * of this thread that fails, which writes another one in its place.
 */
const char *iscsicore_error_message(void);

/* ==============================================================================================
 * Payload
 * ============================================================================================== */

/**
 * Gives lent memory back: called once, with the context it was lent with, when the library uses the
 * memory no more.
 *
 * It may come from within any call of the thread that drops the last use, or much later; it must
 * not throw, and what it calls of this library on a handle in use answers ISCSICORE_STATUS_BUSY.
 */
typedef void (*iscsicore_release)(void *context);

/**
 * Payload that the caller hands in, in one or more slices.
 *
 * With `release`, the memory is lent: it stays where it is, unchanged, until `release` is called,
 * and nothing is copied. Without, it is copied during the call. When the call fails nothing was
 * lent, and `release` is not called.
 */
typedef struct iscsicore_payload {
    /** The slices. The array itself is read during the call only. */
    const iscsicore_iovec *slices;
    /** How many; 0 is empty payload. */
    size_t count;
    /**
     * Gives the memory back; NULL has it copied. For memory that is there for ever and does not
     * change, a function that does nothing.
     */
    iscsicore_release release;
    /** What `release` is called with. */
    void *context;
} iscsicore_payload;

/**
 * Copies slices, such as those that an event shows, one after the other into `buffer`, and tells in
 * `*len` how many bytes they have, whether they fit or not. For answers that are to be decoded:
 * payload of any size is better used where it is. Any thread.
 *
 * Errors: ISCSICORE_STATUS_BUFFER_TOO_SMALL when they have more than `capacity` bytes; nothing was
 * copied.
 */
iscsicore_status iscsicore_gather(const iscsicore_iovec *slices,
                                  size_t count,
                                  void *buffer,
                                  size_t capacity,
                                  size_t *len);

/* ==============================================================================================
 * Bounds, and what is negotiated
 * ============================================================================================== */

/**
 * A point in time that never comes: what functions that tell a deadline write when there is none,
 * and, as a length of time in options, "no limit".
 */
#define ISCSICORE_NEVER UINT64_MAX

/** A yes or no with a default, for options. */
typedef enum iscsicore_choice {
    /** As the library thinks best. */
    ISCSICORE_CHOICE_DEFAULT = 0,
    /** Yes. */
    ISCSICORE_CHOICE_YES = 1,
    /** No. */
    ISCSICORE_CHOICE_NO = 2,
} iscsicore_choice;

/**
 * Bounds on what one connection or session may hold, and for how long. Nothing that a peer sends
 * makes the library hold more. Set `size` to sizeof(iscsicore_limits); every field that is 0 has
 * its default. Times are in nanoseconds.
 */
typedef struct iscsicore_limits {
    /** sizeof(iscsicore_limits). */
    size_t size;
    /** Bytes of text that one step of a login takes from a peer. Default: 16 KiB. */
    size_t login_text_bytes;
    /** Bytes of text that one Text exchange of a session takes. Default: 64 KiB. */
    size_t text_bytes;
    /** Bytes of text that one answer may grow to. Default: 256 KiB. */
    size_t text_answer_bytes;
    /** Bytes of solicited Data-Out that R2Ts of one session ask for at a time. Default: 16 MiB. */
    size_t solicited_bytes;
    /** Bytes of Data-In and other answers that may wait for a connection. Default: 8 MiB. */
    size_t transmit_bytes;
    /** Bytes of additional header segments in one PDU. Default: 260. */
    size_t ahs_bytes;
    /** Bytes of one read buffer. Default: 128 KiB. */
    size_t read_buffer;
    /** Login Requests that one connection may send. Default: 64. */
    uint32_t login_pdus;
    /**
     * Largest data segment before the login is complete, in bytes. Default: 8192 (RFC 7143 section
     * 13.12).
     */
    uint32_t login_segment;
    /** Commands of one session that may be outstanding. Default: 128. */
    uint32_t queue_depth;
    /** Immediate requests beyond the command window. Default: 16. */
    uint32_t immediate_requests;
    /**
     * Data segments of at least so many bytes are read straight into the memory that they are for.
     * Default: 32 KiB.
     */
    uint32_t slot_bytes;
    /** Not used; 0. */
    uint32_t reserved;
    /** Time for a login. Default: 15 s. */
    uint64_t login_timeout;
    /** Silence after which the peer is pinged. Default: 30 s. ISCSICORE_NEVER turns pings off. */
    uint64_t ping_interval;
    /** Time that the peer has to show life after a ping. Default: 30 s. */
    uint64_t ping_timeout;
    /** Time that a peer which has never answered a ping has. Default: 600 s. */
    uint64_t ping_grace;
    /**
     * Time that a target has to answer a task management function, a text request or a logout.
     * Default: 10 s.
     */
    uint64_t management_timeout;
    /** Time that an abort waits for payload which the initiator still owes. Default: 3 s. */
    uint64_t abort_data_timeout;
} iscsicore_limits;

/** Whether header or data digests are used (RFC 7143 section 13.1). */
typedef enum iscsicore_digest {
    /** As the library thinks best: a target prefers CRC32C where the initiator offers it. */
    ISCSICORE_DIGEST_DEFAULT = 0,
    /** No digest. */
    ISCSICORE_DIGEST_NONE = 1,
    /** Either, rather none. */
    ISCSICORE_DIGEST_PREFER_NONE = 2,
    /** Either, rather CRC32C. */
    ISCSICORE_DIGEST_PREFER_CRC32C = 3,
    /** CRC32C, or no connection. */
    ISCSICORE_DIGEST_CRC32C = 4,
} iscsicore_digest;

/**
 * What this end wants, or accepts at most, for the operational keys of RFC 7143 section 13. Set
 * `size` to sizeof(iscsicore_offer); every field that is 0 has its default.
 */
typedef struct iscsicore_offer {
    /** sizeof(iscsicore_offer). */
    size_t size;
    /** HeaderDigest: an iscsicore_digest. */
    int header_digest;
    /** DataDigest: an iscsicore_digest. */
    int data_digest;
    /**
     * InitialR2T, an iscsicore_choice: whether this end insists on an R2T before any Data-Out.
     * Default: no.
     */
    int initial_r2t;
    /**
     * ImmediateData, an iscsicore_choice: whether this end allows data in command PDUs. Default:
     * yes.
     */
    int immediate_data;
    /** MaxRecvDataSegmentLength that this end declares, 512 to 2^24 - 1 bytes. Default: 256 KiB. */
    uint32_t max_segment;
    /** MaxBurstLength, 512 to 2^24 - 1 bytes. Default: 1 MiB. */
    uint32_t max_burst;
    /** FirstBurstLength, 512 to 2^24 - 1 bytes. Default: 256 KiB. */
    uint32_t first_burst;
    /** MaxOutstandingR2T. Default: 16. */
    uint16_t max_outstanding_r2t;
    /** DefaultTime2Wait in seconds, 0 to 3600. */
    uint16_t time2wait;
    /** DefaultTime2Retain in seconds, 0 to 3600. */
    uint16_t time2retain;
    /** Not used; 0. */
    uint16_t reserved;
    /** Not used; 0. */
    uint32_t reserved2;
} iscsicore_offer;

/** What a login agreed on. Its size never changes. */
typedef struct iscsicore_parameters {
    /** Whether headers carry a CRC32C. */
    bool header_digest;
    /** Whether data segments carry a CRC32C. */
    bool data_digest;
    /** InitialR2T. */
    bool initial_r2t;
    /** ImmediateData. */
    bool immediate_data;
    /** The longest data segment that the peer may send to this end, in bytes. */
    uint32_t local_max_segment;
    /** The longest data segment that this end may send, in bytes. */
    uint32_t peer_max_segment;
    /** MaxBurstLength, in bytes. */
    uint32_t max_burst;
    /** FirstBurstLength, in bytes. */
    uint32_t first_burst;
    /** MaxOutstandingR2T. */
    uint16_t max_outstanding_r2t;
    /** DefaultTime2Wait, in seconds. */
    uint16_t time2wait;
    /** DefaultTime2Retain, in seconds. */
    uint16_t time2retain;
    /** ErrorRecoveryLevel. */
    uint8_t error_recovery_level;
    /** 0; room for what later versions tell. */
    uint32_t reserved[8];
} iscsicore_parameters;

/* ==============================================================================================
 * The two halves of a connection: bytes to PDUs and back
 * ============================================================================================== */

/**
 * The inbound half of one connection: it frames bytes into PDUs and verifies digests, and knows no
 * protocol state.
 *
 * Threads: any, one call at a time. It may be read into on one thread while the session is used by
 * another, except during the calls that take both.
 */
typedef struct iscsicore_receiver iscsicore_receiver;

/**
 * The outbound half of one connection: PDUs that wait to be written. Payload lies in it where it
 * was, uncopied.
 *
 * Threads: any, one call at a time.
 */
typedef struct iscsicore_transmitter iscsicore_transmitter;

/**
 * Read buffers that the connections of one thread share, so that an idle connection has none.
 *
 * Threads: any, one call at a time.
 */
typedef struct iscsicore_buffer_pool iscsicore_buffer_pool;

/**
 * Makes a receiver for a connection that begins. `limits` are to be those of its host, nexus or
 * target; NULL, where these have the defaults.
 *
 * Ownership: the caller's, until iscsicore_receiver_free.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for a limit out of its range.
 */
iscsicore_status iscsicore_receiver_new(const iscsicore_limits *limits,
                                        iscsicore_receiver **receiver);

/** Ends a receiver. NULL is taken. */
iscsicore_status iscsicore_receiver_free(iscsicore_receiver *receiver);

/**
 * Says where the next bytes of the connection are to be read: `*memory` has room for `*len` of
 * them, until the next call on this receiver. Read, then call iscsicore_receiver_advance.
 *
 * `*len` is 0 when the session is to take what has arrived first: reading stops. Ask again after it
 * has received, after the transmitter was emptied, or a job was finished.
 *
 * Errors: ISCSICORE_STATUS_WRONG_STATE while payload belongs into the buffer of a command;
 * iscsicore_nexus_want says where.
 */
iscsicore_status iscsicore_receiver_want(iscsicore_receiver *receiver,
                                         uint8_t **memory,
                                         size_t *len);

/**
 * Tells that `len` bytes were read to where iscsicore_receiver_want said.
 *
 * Errors, after which nothing has changed: ISCSICORE_STATUS_INVALID_ARGUMENT for more than there
 * was room for; ISCSICORE_STATUS_WRONG_STATE while payload belongs into the buffer of a command.
 */
iscsicore_status iscsicore_receiver_advance(iscsicore_receiver *receiver, size_t len);

/**
 * Hands over bytes of the connection that are in memory already, in place of a read: lent, or
 * copied. PDUs are sliced out of lent memory. It does not stop: ask iscsicore_receiver_want whether
 * to go on.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT while payload belongs into the buffer of a command,
 * which ends the connection.
 */
iscsicore_status iscsicore_receiver_push(iscsicore_receiver *receiver,
                                         const iscsicore_payload *bytes);

/**
 * Tells how many bytes have arrived that belong to no PDU taken yet. When the peer closes the
 * connection and this is not 0, it did so in the middle of a PDU.
 */
iscsicore_status iscsicore_receiver_buffered(iscsicore_receiver *receiver, size_t *len);

/**
 * Makes a transmitter for a connection that begins.
 *
 * Ownership: the caller's, until iscsicore_transmitter_free.
 */
iscsicore_status iscsicore_transmitter_new(iscsicore_transmitter **transmitter);

/**
 * Ends a transmitter, with what it still holds; payload that was lent to it is given back. NULL is
 * taken.
 */
iscsicore_status iscsicore_transmitter_free(iscsicore_transmitter *transmitter);

/**
 * Shows what is to be written next, as `*count` slices for writev, at most `capacity` and 64:
 * `*count` is 0 when there is nothing. The slices live until the next call on this transmitter.
 * After the write, call iscsicore_transmitter_advance.
 */
iscsicore_status iscsicore_transmitter_slices(iscsicore_transmitter *transmitter,
                                              iscsicore_iovec *slices,
                                              size_t capacity,
                                              size_t *count);

/**
 * Tells that `len` bytes of what iscsicore_transmitter_slices showed were written. That a
 * transmitter was emptied counts as a call on its session: transmit and receive once more.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for more than is queued; nothing changes.
 */
iscsicore_status iscsicore_transmitter_advance(iscsicore_transmitter *transmitter, size_t len);

/** Tells how many bytes wait to be written. */
iscsicore_status iscsicore_transmitter_queued(iscsicore_transmitter *transmitter, size_t *len);

/**
 * Makes an empty pool of read buffers of `buffer_size` bytes (the `read_buffer` of the limits; 0:
 * the default), which holds on to at most `keep` of them.
 *
 * Ownership: the caller's, until iscsicore_buffer_pool_free.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT unless buffers have 4096 bytes to 64 MiB and `keep` is
 * at most 65536.
 */
iscsicore_status iscsicore_buffer_pool_new(size_t buffer_size,
                                           size_t keep,
                                           iscsicore_buffer_pool **pool);

/** Ends a pool. Buffers that receivers have stay with them. NULL is taken. */
iscsicore_status iscsicore_buffer_pool_free(iscsicore_buffer_pool *pool);

/** Gives a receiver a buffer, if its next read needs one: before every iscsicore_receiver_want. */
iscsicore_status iscsicore_buffer_pool_lend(iscsicore_buffer_pool *pool,
                                            iscsicore_receiver *receiver);

/** Takes the buffer of a receiver back, if it can do without: after a read that found nothing. */
iscsicore_status iscsicore_buffer_pool_take_back(iscsicore_buffer_pool *pool,
                                                 iscsicore_receiver *receiver);

/* ==============================================================================================
 * Memory of the program's choice
 * ============================================================================================== */

/**
 * Where the library gets memory from, in place of malloc. Set `size` to
 * sizeof(iscsicore_allocator).
 *
 * The functions must not call this library, and must not fail in another way than by giving NULL.
 * They are called within calls of the library, and when a thread that has used it ends.
 */
typedef struct iscsicore_allocator {
    /** sizeof(iscsicore_allocator). */
    size_t size;
    /**
     * Gives `len` bytes, not 0, at a multiple of `alignment`, a power of two; NULL when there are
     * none. Required.
     */
    void *(*allocate)(void *context, size_t len, size_t alignment);
    /**
     * Takes memory back that `allocate` or `reallocate` gave, with the length and alignment that it
     * was asked for. Required.
     */
    void (*free)(void *context, void *memory, size_t len, size_t alignment);
    /**
     * Makes memory longer or shorter, and moves it where necessary; NULL when that cannot be done,
     * and the memory stays as it was. May be NULL: then new memory is allocated, and the old
     * contents are copied.
     */
    void *(*reallocate)(void *context, void *memory, size_t len, size_t alignment, size_t new_len);
    /** What the functions are called with. */
    void *context;
} iscsicore_allocator;

/**
 * Has the library use the program's own memory functions, in place of malloc, for as long as the
 * process lives. They are called on every thread that calls the library; what `functions` points to
 * is copied.
 *
 * It must be the very first call of the library in the process, but for iscsicore_version and
 * iscsicore_status_text. When there is no memory the process aborts, whoever the allocator is. When
 * every handle was freed, what is left is the copy of `functions`, for ever.
 *
 * Errors: ISCSICORE_STATUS_NULL_POINTER without `allocate` or `free`; ISCSICORE_STATUS_WRONG_STATE
 * when memory was allocated before, also by a call of this function that failed.
 */
iscsicore_status iscsicore_set_allocator(const iscsicore_allocator *functions);

/* ==============================================================================================
 * Operations on storage
 * ============================================================================================== */

/** What is to be done on the storage of a unit. */
typedef enum iscsicore_op_kind {
    /** Read `len` bytes at `offset`: the outcome is exactly so many bytes. */
    ISCSICORE_OP_KIND_READ = 1,
    /**
     * Write `data`, `len` bytes in all, at `offset`. With `fua` they are on stable storage when it
     * is done.
     */
    ISCSICORE_OP_KIND_WRITE = 2,
    /** Bring everything written so far to stable storage. */
    ISCSICORE_OP_KIND_FLUSH = 3,
    /**
     * Give up the space behind `ranges`. What was given up reads as zeros; parts may be kept as
     * they were.
     */
    ISCSICORE_OP_KIND_UNMAP = 4,
    /**
     * Make `len` bytes at `offset` read as zeros; with `may_unmap` their space may be given up.
     * When the outcome is ISCSICORE_IO_UNSUPPORTED, zeros are written instead.
     */
    ISCSICORE_OP_KIND_WRITE_ZEROES = 5,
    /**
     * Tell which parts of the `len` bytes at `offset` have storage, in at most `most` extents. When
     * the outcome is ISCSICORE_IO_UNSUPPORTED, all of it counts as mapped. Only thin units ask.
     */
    ISCSICORE_OP_KIND_EXTENTS = 6,
} iscsicore_op_kind;

/** A range of bytes. */
typedef struct iscsicore_range {
    /** Where it begins. */
    uint64_t offset;
    /** How many bytes. */
    uint64_t len;
} iscsicore_range;

/**
 * An operation on the storage of a unit. Offsets and lengths are in bytes, multiples of the block
 * size, within the capacity. What its pointers name lives as long as the operation, and any thread
 * may read it.
 */
typedef struct iscsicore_op {
    /** What is to be done. The kind says which of the other fields mean something; those are 0. */
    iscsicore_op_kind kind;
    /** Whether a write is to be on stable storage when it is done. */
    bool fua;
    /** Whether zeroed space may be given up. */
    bool may_unmap;
    /** The most extents to be told. */
    uint32_t most;
    /** Where. */
    uint64_t offset;
    /** How many bytes. */
    uint64_t len;
    /** What to write: `data_count` slices. */
    const iscsicore_iovec *data;
    /** How many slices. */
    size_t data_count;
    /** What to give up: `range_count` ranges. */
    const iscsicore_range *ranges;
    /** How many ranges. */
    size_t range_count;
} iscsicore_op;

/**
 * What became of an operation. 0 is none of them, so that what was forgotten does not count as
 * done.
 */
typedef enum iscsicore_io {
    /** It was carried out. */
    ISCSICORE_IO_DONE = 1,
    /** The medium failed, at the offset that is told with it. */
    ISCSICORE_IO_MEDIUM_ERROR = 2,
    /** No space is left to allocate. */
    ISCSICORE_IO_NO_SPACE = 3,
    /** The storage does not take writes. */
    ISCSICORE_IO_READ_ONLY = 4,
    /** The storage cannot do this. */
    ISCSICORE_IO_UNSUPPORTED = 5,
    /** It failed for another reason. */
    ISCSICORE_IO_FAILED = 6,
} iscsicore_io;

/** A part of a range, and whether storage stands behind it. */
typedef struct iscsicore_extent {
    /** How many bytes. */
    uint64_t len;
    /**
     * 0 when it has no storage, and so reads as zeros; anything else when it has, or nobody knows.
     */
    int mapped;
} iscsicore_extent;

/* ==============================================================================================
 * Logical unit numbers
 * ============================================================================================== */

/**
 * Makes the eight bytes of a LUN, as one number in the order of the wire, of a plain number: 0 to
 * 16383. Any thread.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for numbers from 16384 on.
 */
iscsicore_status iscsicore_lun(uint16_t number, uint64_t *lun);

/**
 * Tells the plain number of a LUN. Initiators write small numbers in two ways, which name the same
 * unit: compare what this function says, not the LUNs. Any thread.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for a LUN that is no plain number: of several levels,
 * or well known.
 */
iscsicore_status iscsicore_lun_number(uint64_t lun, uint16_t *number);

/* ==============================================================================================
 * Disks
 * ============================================================================================== */

/**
 * Task management functions, for `task_functions` of iscsicore_unit_options: combine them with `|`.
 * The numbers are those of REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS (SPC-4 section 6.36).
 */
typedef enum iscsicore_task_function {
    /** I_T NEXUS RESET. */
    ISCSICORE_TASK_FUNCTION_NEXUS_RESET = 1,
    /** QUERY TASK SET. */
    ISCSICORE_TASK_FUNCTION_QUERY_TASK_SET = 2,
    /** QUERY ASYNCHRONOUS EVENT. */
    ISCSICORE_TASK_FUNCTION_QUERY_ASYNCHRONOUS_EVENT = 4,
    /** QUERY TASK. */
    ISCSICORE_TASK_FUNCTION_QUERY_TASK = 1024,
    /** LOGICAL UNIT RESET. */
    ISCSICORE_TASK_FUNCTION_LOGICAL_UNIT_RESET = 2048,
    /** CLEAR TASK SET. */
    ISCSICORE_TASK_FUNCTION_CLEAR_TASK_SET = 4096,
    /** ABORT TASK SET. */
    ISCSICORE_TASK_FUNCTION_ABORT_TASK_SET = 16384,
    /** ABORT TASK. */
    ISCSICORE_TASK_FUNCTION_ABORT_TASK = 32768,
} iscsicore_task_function;

/**
 * What a logical unit, a disk, is. Set `size` to sizeof(iscsicore_unit_options), `serial` and
 * `blocks`; every other field that is 0 has its default. Strings and bytes are copied. A value out
 * of its range is refused, not adjusted.
 */
typedef struct iscsicore_unit_options {
    /** sizeof(iscsicore_unit_options). */
    size_t size;
    /**
     * Unit serial number, 1 to 64 printable ASCII characters; there is no default. It must stay the
     * same for the life of the unit, and no other unit may have it: initiators tell disks apart by
     * it.
     */
    const char *serial;
    /** Vendor, up to 8 printable ASCII characters. Default: "ISCSICOR". */
    const char *vendor;
    /** Product, up to 16 printable ASCII characters. Default: "VIRTUAL DISK". */
    const char *product;
    /** Product revision, up to 4 printable ASCII characters. Default: "0001". */
    const char *revision;
    /**
     * NAA identifier: 8 bytes of type 2h, 3h or 5h, or 16 bytes of type 6h. Default: a locally
     * assigned one (3h), made of `serial`, the same for the same serial always.
     */
    const uint8_t *naa;
    /** How many bytes `naa` has; 0 for the default. */
    size_t naa_len;
    /** The capacity in logical blocks, 1 to 2^63 bytes in all; there is no default. */
    uint64_t blocks;
    /** Bytes in a logical block: 512 or 4096. Default: 512. */
    uint32_t block_size;
    /**
     * Bytes in a physical block, which initiators align to: a power of two, from `block_size` to
     * 2^15 times that. Default: 4096.
     */
    uint32_t physical_block_size;
    /** Not zero: commands that write are refused, whoever sends them. */
    int read_only;
    /**
     * Not zero: the unit is thinly provisioned. Initiators may give up blocks
     * (ISCSICORE_OP_KIND_UNMAP), which then read as zeros.
     */
    int thin;
    /**
     * An iscsicore_choice: whether a write may be reported done before it is on stable storage,
     * until a flush or a write with `fua`. Default: yes.
     */
    int write_cache;
    /** Most bytes that one command may move, 64 KiB to 1 GiB, in whole blocks. Default: 32 MiB. */
    uint32_t max_transfer;
    /**
     * Most bytes of one operation on the storage of a command that is carried out in many
     * (verifying, comparing, writing the same block again and again), 4 KiB to 64 MiB, in whole
     * blocks. Default: 1 MiB.
     */
    uint32_t chunk;
    /** Most blocks that one UNMAP may give up. Default: 2^20. */
    uint32_t max_unmap_blocks;
    /** Most ranges in one UNMAP, 1 to 4095. Default: 256. */
    uint32_t max_unmap_descriptors;
    /**
     * The number of blocks in which it makes sense to give up space. Default: as many as 4096 bytes
     * have.
     */
    uint32_t unmap_granularity;
    /** Most blocks of one WRITE SAME. Default: as many as 32 MiB have. */
    uint32_t max_write_same_blocks;
    /**
     * The task management functions that work, iscsicore_task_function combined, for initiators
     * that ask. Default: ABORT TASK, ABORT TASK SET, CLEAR TASK SET and LOGICAL UNIT RESET, which
     * is right for an iscsicore_host.
     */
    uint32_t task_functions;
    /** Not used; 0. */
    uint32_t reserved;
    /** Not used; 0. */
    uint32_t reserved2;
} iscsicore_unit_options;

/* ==============================================================================================
 * The configuration of a host: disks, targets, portals, accounts
 * ============================================================================================== */

/** In place of the number of a target: discovery sessions that name no target. */
#define ISCSICORE_DISCOVERY UINT32_MAX

/** What a LUN allows to be done to its unit. */
typedef enum iscsicore_access {
    /** Everything. */
    ISCSICORE_ACCESS_READ_WRITE = 0,
    /** Nothing that changes the medium. */
    ISCSICORE_ACCESS_READ_ONLY = 1,
} iscsicore_access;

/**
 * What an iscsicore_host is made of: units, targets and rules, gathered by the functions
 * iscsicore_host_config_.., in any order but that a target is there before what belongs to it.
 * Contradictions are told by iscsicore_host_new.
 *
 * Strings and bytes are copied. Secrets are overwritten in memory when the configuration and the
 * hosts made of it are freed.
 *
 * Threads: any, one call at a time.
 */
typedef struct iscsicore_host_config iscsicore_host_config;

/**
 * Bounds on a whole host. Set `size` to sizeof(iscsicore_node_limits); every field that is 0 has
 * its default.
 */
typedef struct iscsicore_node_limits {
    /** sizeof(iscsicore_node_limits). */
    size_t size;
    /** Sessions, 1 to 65535. Default: 1024. */
    uint32_t sessions;
    /** Sessions of one initiator name. Default: 64. */
    uint32_t sessions_per_initiator;
    /** Discovery sessions. Default: 128. */
    uint32_t discovery_sessions;
    /** Connections that have not logged in yet. Default: 256. */
    uint32_t connections_in_login;
} iscsicore_node_limits;

/**
 * Makes an empty configuration.
 *
 * Ownership: the caller's, until iscsicore_host_config_free.
 */
iscsicore_status iscsicore_host_config_new(iscsicore_host_config **config);

/** Ends a configuration. Hosts that were made of it stay. NULL is taken. */
iscsicore_status iscsicore_host_config_free(iscsicore_host_config *config);

/**
 * Sets the bounds of every session. NULL sets the defaults, which hold without this call, too. Make
 * the receivers of the connections with the same limits.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for a limit out of its range.
 */
iscsicore_status iscsicore_host_config_set_limits(iscsicore_host_config *config,
                                                  const iscsicore_limits *limits);

/**
 * Sets the bounds of the whole host. NULL sets the defaults, which hold without this call, too.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for a number out of its range.
 */
iscsicore_status iscsicore_host_config_set_node_limits(iscsicore_host_config *config,
                                                       const iscsicore_node_limits *limits);

/**
 * Adds a logical unit, a disk, and tells its number: 0 for the first, 1 for the next. iscsicore_job
 * names units by it.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for options out of their ranges.
 */
iscsicore_status iscsicore_host_config_add_unit(iscsicore_host_config *config,
                                                const iscsicore_unit_options *options,
                                                uint32_t *unit);

/**
 * Adds a target, which everybody may use until accounts or allowed initiators are added, and tells
 * its number: 0 for the first, 1 for the next. It needs at least one portal. SendTargets reports
 * targets in the order in which they were added.
 *
 * `name` is its iSCSI name, such as "iqn.2001-04.com.example:disk". `alias`, a name for people, may
 * be NULL.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for a name that RFC 7143 section 4.2.7 does not allow.
 */
iscsicore_status iscsicore_host_config_add_target(iscsicore_host_config *config,
                                                  const char *name,
                                                  const char *alias,
                                                  uint32_t *target);

/**
 * Adds an address at which a target is reachable, to its portal group `tag`.
 *
 * `address` is what the listener is bound to: "192.0.2.1:3260", "[2001:db8::1]:3260". "0.0.0.0" and
 * "[::]" stand for every address of the machine, port 0 for whatever port was reached. `announce`,
 * "host:port", is what SendTargets reports in its place, where initiators see another address than
 * the listener has; NULL reports the address itself.
 *
 * Errors: ISCSICORE_STATUS_UNKNOWN when there is no such target.
 */
iscsicore_status iscsicore_host_config_add_portal(iscsicore_host_config *config,
                                                  uint32_t target,
                                                  uint16_t tag,
                                                  const char *address,
                                                  const char *announce);

/**
 * Puts a unit behind a LUN of a target, the plain number 0 to 16383, with an iscsicore_access. A
 * unit may stand behind many LUNs, of many targets. ISCSICORE_ACCESS_READ_ONLY keeps those from
 * writing who come by this LUN; `read_only` of the unit, everybody.
 *
 * `initiator` NULL: for every initiator that has no LUNs of its own. With a name, this LUN is that
 * initiator's own: of this target it sees its own LUNs only. That the unit exists is checked by
 * iscsicore_host_new.
 *
 * Errors: ISCSICORE_STATUS_UNKNOWN when there is no such target. ISCSICORE_STATUS_INVALID_ARGUMENT
 * for a LUN out of range or taken.
 */
iscsicore_status iscsicore_host_config_add_lun(iscsicore_host_config *config,
                                               uint32_t target,
                                               const char *initiator,
                                               uint16_t lun,
                                               uint32_t unit,
                                               int access);

/**
 * Sets what a target negotiates, or discovery (ISCSICORE_DISCOVERY). NULL sets the defaults, which
 * hold without this call, too.
 *
 * Errors: ISCSICORE_STATUS_UNKNOWN when there is no such target.
 */
iscsicore_status iscsicore_host_config_set_offer(iscsicore_host_config *config,
                                                 uint32_t target,
                                                 const iscsicore_offer *offer);

/* ==============================================================================================
 * A host: a whole iSCSI node with targets, one call for everything that arrives
 * ============================================================================================== */

/**
 * A whole target server: all sessions, the logical units, and the rules who may log in. Sockets,
 * storage and time are the program's.
 *
 * For every connection that it accepts the program makes a receiver, a transmitter and, with
 * iscsicore_host_connect, a link. Bytes that arrive go into the receiver and then, by
 * iscsicore_host_receive, to the host. After any call on the host: call iscsicore_host_transmit and
 * write what the transmitter has; carry out the jobs that iscsicore_host_next_job tells; serve the
 * links that iscsicore_host_next_wake tells; set a timer for iscsicore_host_timeout. The order does
 * not matter, and too often is harmless. That a transmitter was emptied counts as a call: transmit
 * and receive once more, because the host takes no more requests while too much waits to be sent.
 * When iscsicore_host_is_closing says so, or the transport breaks, flush what there is, close the
 * socket and call iscsicore_host_lost.
 *
 * Threads: any, one call at a time. Jobs may be carried out on other threads, and finished on any.
 */
typedef struct iscsicore_host iscsicore_host;

/** A hash function for CHAP, by its number in CHAP_A (RFC 7143 section 12.1.3). */
typedef enum iscsicore_chap_algorithm {
    /** MD5. */
    ISCSICORE_CHAP_ALGORITHM_MD5 = 5,
    /** SHA-1. */
    ISCSICORE_CHAP_ALGORITHM_SHA1 = 6,
    /** SHA-256. */
    ISCSICORE_CHAP_ALGORITHM_SHA256 = 7,
    /** SHA3-256. */
    ISCSICORE_CHAP_ALGORITHM_SHA3_256 = 8,
} iscsicore_chap_algorithm;

/** Whether a target takes logins. */
typedef enum iscsicore_service {
    /** It does. */
    ISCSICORE_SERVICE_ONLINE = 0,
    /** Not now (maintenance, shutdown): initiators are told to try again later. */
    ISCSICORE_SERVICE_UNAVAILABLE = 1,
    /** Never again: initiators are told to forget it. */
    ISCSICORE_SERVICE_REMOVED = 2,
} iscsicore_service;

/**
 * Something to be done on the storage of a unit.
 *
 * It is the library's and lives, unchanged, until it is finished or its host is freed; any thread
 * may read it and what its pointers name meanwhile, also while the host is used.
 */
typedef struct iscsicore_job {
    /** To be given to one of the functions iscsicore_host_finish.., once; never 0. */
    uint64_t id;
    /** Whose storage: the number that iscsicore_host_config_add_unit told. */
    uint32_t unit;
    /** What is to be done. */
    iscsicore_op op;
} iscsicore_job;

/** A session of a host, as it was when it was asked for. */
typedef struct iscsicore_session {
    /** The iSCSI name of the initiator. */
    const char *initiator;
    /** The initiator's name for people, or NULL. */
    const char *initiator_alias;
    /** The iSCSI name of the target, or NULL for a discovery session that named none. */
    const char *target;
    /** The CHAP name that was proved, or NULL. */
    const char *user;
    /** ISID: the initiator's part of the session's name. */
    uint8_t isid[6];
    /** TSIH: the target's part of the session's name. */
    uint16_t tsih;
    /** The tag of the portal group that the session came by. */
    uint16_t portal_group_tag;
    /** Whether it is a discovery session. */
    bool discovery;
    /** What was negotiated. */
    iscsicore_parameters parameters;
    /** Commands and other requests that are not answered yet. */
    size_t outstanding;
    /** SCSI commands received. */
    uint64_t commands;
    /** Payload bytes received for commands. */
    uint64_t bytes_out;
    /** Payload bytes sent for commands. */
    uint64_t bytes_in;
    /** Task management functions received. */
    uint64_t task_management;
    /** Reject PDUs sent. */
    uint64_t rejects;
    /** PDUs with a wrong data digest received. */
    uint64_t digest_errors;
} iscsicore_session;

/**
 * Makes a server without connections of a configuration, which stays the caller's and may be
 * changed and used again: a host keeps what it said at the time.
 *
 * Ownership: the caller's, until iscsicore_host_free.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT when the configuration contradicts itself;
 * iscsicore_error_message names the first problem.
 */
iscsicore_status iscsicore_host_new(const iscsicore_host_config *config, iscsicore_host **host);

/**
 * Ends a server at once, with all its sessions; what jobs name is gone, so finish them first.
 * Payload that was lent and not yet transmitted is released; what a transmitter holds, when that is
 * freed. NULL is taken.
 *
 * Errors: ISCSICORE_STATUS_WRONG_STATE while it has connections of iscsicore_simple_target; nothing
 * is freed.
 */
iscsicore_status iscsicore_host_free(iscsicore_host *host);

/**
 * Takes a connection that was accepted, and tells its link: a number that is never used again, and
 * never 0.
 *
 * `local_address` is the address that the initiator reached, as getsockname and
 * iscsicore_address_text give it: "192.0.2.1:3260", "[2001:db8::1]:3260". It decides the portal
 * group: at an address that is no portal of a target, that target is not found. `seed` is 32 bytes
 * that nobody can predict, such as getrandom gives, and of no other use.
 *
 * Errors: ISCSICORE_STATUS_REFUSED when too many connections are logging in: close this one.
 * ISCSICORE_STATUS_INVALID_ARGUMENT for an address that is none.
 */
iscsicore_status iscsicore_host_connect(iscsicore_host *host,
                                        uint64_t now,
                                        const char *local_address,
                                        const uint8_t *seed,
                                        uint64_t *link);

/**
 * Takes the PDUs that the receiver of a connection has whole. Call it when bytes have arrived, when
 * the transmitter was emptied, and when iscsicore_host_next_wake tells the link.
 *
 * Errors: ISCSICORE_STATUS_PEER_ERROR when the initiator broke the protocol or its login failed:
 * transmit, for what it is told is queued, and go on until iscsicore_host_is_closing says yes.
 * ISCSICORE_STATUS_UNKNOWN when there is no such connection.
 */
iscsicore_status iscsicore_host_receive(iscsicore_host *host,
                                        uint64_t now,
                                        uint64_t link,
                                        iscsicore_receiver *receiver);

/**
 * Moves what is to be sent on a connection into its transmitter. Call it again when the transmitter
 * was emptied.
 *
 * Errors: ISCSICORE_STATUS_UNKNOWN when there is no such connection.
 */
iscsicore_status iscsicore_host_transmit(iscsicore_host *host,
                                         uint64_t now,
                                         uint64_t link,
                                         iscsicore_transmitter *transmitter);

/**
 * Tells whether nothing more will be said on a connection: after one more iscsicore_host_transmit
 * write what the transmitter has, close the socket and call iscsicore_host_lost. To close a socket
 * with bytes unread resets it, and the initiator may lose the last answer: shut down its writing
 * side, and read for a moment what still comes, first.
 *
 * Errors: ISCSICORE_STATUS_UNKNOWN when there is no such connection.
 */
iscsicore_status iscsicore_host_is_closing(iscsicore_host *host, uint64_t link, bool *closing);

/**
 * Tells that the transport of a connection is gone, whoever closed it. Its link is no more.
 *
 * Errors: ISCSICORE_STATUS_UNKNOWN when there is no such connection.
 */
iscsicore_status iscsicore_host_lost(iscsicore_host *host, uint64_t now, uint64_t link);

/**
 * Tells a connection for which something happened that it did not bring about itself, or 0 when
 * there is none now: receive and transmit on it. A program that does so regularly for all
 * connections need not ask.
 */
iscsicore_status iscsicore_host_next_wake(iscsicore_host *host, uint64_t *link);

/**
 * Keeps a pointer of the program's for a connection: a way from the link that
 * iscsicore_host_next_wake tells to the program's own struct. The library does nothing with it.
 *
 * Errors: ISCSICORE_STATUS_UNKNOWN when there is no such connection.
 */
iscsicore_status iscsicore_host_set_context(iscsicore_host *host, uint64_t link, void *context);

/**
 * Gives what iscsicore_host_set_context kept for a connection; NULL when nothing was.
 *
 * Errors: ISCSICORE_STATUS_UNKNOWN when there is no such connection.
 */
iscsicore_status iscsicore_host_context(iscsicore_host *host, uint64_t link, void **context);

/**
 * Tells when iscsicore_host_handle_timeout is to be called, in nanoseconds, or ISCSICORE_NEVER. Any
 * other call may change it.
 */
iscsicore_status iscsicore_host_timeout(iscsicore_host *host, uint64_t *at);

/** Acts on the time that has passed. Harmless when nothing is due. */
iscsicore_status iscsicore_host_handle_timeout(iscsicore_host *host, uint64_t now);

/**
 * Lets an initiator use a target, by its iSCSI name. As soon as one was allowed, all others are
 * refused.
 *
 * Names prove nothing: see iscsicore_host_config_add_account.
 *
 * Errors: ISCSICORE_STATUS_UNKNOWN when there is no such target.
 */
iscsicore_status iscsicore_host_config_allow_initiator(iscsicore_host_config *config,
                                                       uint32_t target,
                                                       const char *initiator);

/**
 * Adds a CHAP account of a target, or of discovery (ISCSICORE_DISCOVERY). As soon as there is one,
 * logins must prove one. The two are apart: with accounts of targets alone, everybody may ask which
 * targets there are.
 *
 * RFC 7143 section 9.2.1 asks for secrets of at least 12 bytes; shorter ones are taken. `initiator`
 * NULL lets every initiator use the account; a name lets only that one, and the same account may be
 * added again for another. A discovery session that names a target is held to the accounts of that
 * target.
 *
 * Errors: ISCSICORE_STATUS_UNKNOWN when there is no such target.
 */
iscsicore_status iscsicore_host_config_add_account(iscsicore_host_config *config,
                                                   uint32_t target,
                                                   const char *name,
                                                   const uint8_t *secret,
                                                   size_t secret_len,
                                                   const char *initiator);

/**
 * Sets the account by which a target, or discovery (ISCSICORE_DISCOVERY), proves itself to
 * initiators that ask for it, in place of an earlier one. Its secret must differ from those of all
 * accounts of initiators, of which there must be one.
 *
 * Errors: ISCSICORE_STATUS_UNKNOWN when there is no such target.
 */
iscsicore_status iscsicore_host_config_set_mutual(iscsicore_host_config *config,
                                                  uint32_t target,
                                                  const char *name,
                                                  const uint8_t *secret,
                                                  size_t secret_len);

/**
 * Sets the hash functions, `count` values of iscsicore_chap_algorithm, that CHAP takes at a target,
 * or for discovery (ISCSICORE_DISCOVERY). Without this call all are taken. There must be an
 * account, too.
 *
 * Errors: ISCSICORE_STATUS_UNKNOWN when there is no such target. ISCSICORE_STATUS_INVALID_ARGUMENT
 * for none, for one that is no iscsicore_chap_algorithm, and for one that is there twice.
 */
iscsicore_status iscsicore_host_config_set_chap_algorithms(iscsicore_host_config *config,
                                                           uint32_t target,
                                                           const int *algorithms,
                                                           size_t count);

/**
 * Puts the targets and rules of another configuration in the place of those that the host has, for
 * logins to come. Sessions stay as they are, with the LUNs that they have, and so does what
 * iscsicore_host_set_service said of targets that stay. LUNs name the units that the host was made
 * with; the units and limits of this configuration are not looked at.
 *
 * Errors: as of iscsicore_host_new; nothing changes.
 */
iscsicore_status iscsicore_host_reconfigure(iscsicore_host *host,
                                            const iscsicore_host_config *config);

/**
 * Asks all initiators to log out, before a shutdown, say; sessions that have not ended after
 * `within` nanoseconds are ended then. Initiators may log in again: see iscsicore_host_set_service.
 */
iscsicore_status iscsicore_host_request_logout(iscsicore_host *host, uint64_t now, uint64_t within);

/**
 * Changes the capacity of a unit, in logical blocks, and tells all its initiators. Storage that
 * grows is there before this call; jobs of before a unit shrank may still name what was cut off.
 *
 * Errors: ISCSICORE_STATUS_UNKNOWN when there is no such unit. ISCSICORE_STATUS_INVALID_ARGUMENT
 * for no blocks, or more than 2^63 bytes.
 */
iscsicore_status iscsicore_host_resize(iscsicore_host *host, uint32_t unit, uint64_t blocks);

/**
 * Lets a target take logins, or stop taking them: `service` is an iscsicore_service. Sessions that
 * are there are not touched.
 *
 * Errors: ISCSICORE_STATUS_UNKNOWN when there is no such target.
 */
iscsicore_status iscsicore_host_set_service(iscsicore_host *host, const char *target, int service);

/**
 * Tells the next job, or NULL when there is none now. Jobs may be done in any order, at the same
 * time, on any thread; every one is to be finished, whatever becomes of its connection: its
 * command, and the end of its session, wait for it.
 *
 * When finished, its command may go on with another job.
 */
iscsicore_status iscsicore_host_next_job(iscsicore_host *host, const iscsicore_job **job);

/**
 * Finishes a job without data: any that failed, and any that is done but ISCSICORE_OP_KIND_READ and
 * ISCSICORE_OP_KIND_EXTENTS. `io` is an iscsicore_io; `at` is the offset in bytes at which the
 * medium failed, with ISCSICORE_IO_MEDIUM_ERROR.
 *
 * A write is done when its data can no longer change under it: the library gives the memory up in
 * this call.
 *
 * Errors, after which the job is as it was: ISCSICORE_STATUS_UNKNOWN for a job that was finished.
 * ISCSICORE_STATUS_INVALID_ARGUMENT for an `io` that is none, or does not fit.
 */
iscsicore_status iscsicore_host_finish(iscsicore_host *host,
                                       uint64_t now,
                                       uint64_t job,
                                       int io,
                                       uint64_t at);

/**
 * Finishes ISCSICORE_OP_KIND_READ with the bytes that were read, exactly as many as `len` said.
 * Lent memory is used until it has been transmitted, and then released, possibly long after this
 * call; it is released, too, when the connection ends.
 *
 * Errors, after which the job is as it was and nothing was lent: ISCSICORE_STATUS_UNKNOWN for a job
 * that was finished. ISCSICORE_STATUS_INVALID_ARGUMENT for a wrong number of bytes, or a job that
 * reads nothing.
 */
iscsicore_status iscsicore_host_finish_read(iscsicore_host *host,
                                            uint64_t now,
                                            uint64_t job,
                                            const iscsicore_payload *data);

/**
 * Finishes ISCSICORE_OP_KIND_EXTENTS with consecutive extents from the offset of the operation on.
 * They may end before its range does; none at all says that everything is mapped.
 *
 * Errors, after which the job is as it was: ISCSICORE_STATUS_UNKNOWN for a job that was finished.
 * ISCSICORE_STATUS_INVALID_ARGUMENT for a job that asks for no extents.
 */
iscsicore_status iscsicore_host_finish_extents(iscsicore_host *host,
                                               uint64_t now,
                                               uint64_t job,
                                               const iscsicore_extent *extents,
                                               size_t count);

/**
 * Tells of the session that a connection belongs to, or NULL while it has not logged in, and once
 * its session has ended. What is told is the library's, and lives until the next call of this
 * function on the host.
 *
 * Errors: ISCSICORE_STATUS_UNKNOWN when there is no such connection.
 */
iscsicore_status iscsicore_host_session(iscsicore_host *host,
                                        uint64_t link,
                                        const iscsicore_session **session);

/**
 * Tells how many sessions there are, of both kinds. A session may be there for a while after its
 * connection was lost: until its jobs are finished.
 */
iscsicore_status iscsicore_host_session_count(iscsicore_host *host, size_t *count);

/* ==============================================================================================
 * Addresses of sockets as text
 * ============================================================================================== */

/**
 * Writes the address of a socket as text that ends with NUL, "192.0.2.1:3260" or
 * "[2001:db8::1]:3260", as iscsicore_host_connect takes it. A buffer of 80 bytes is enough.
 *
 * `address` and `address_len` are what getsockname gave: a struct sockaddr of AF_INET or AF_INET6.
 * `*len` is the length of the text without its NUL, whether it fits or not.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for any other address.
 * ISCSICORE_STATUS_BUFFER_TOO_SMALL unless `capacity` is greater than `*len`.
 */
iscsicore_status iscsicore_address_text(const void *address,
                                        size_t address_len,
                                        char *buffer,
                                        size_t capacity,
                                        size_t *len);

/* ==============================================================================================
 * A disk by itself: SCSI commands in, operations on storage out
 * ============================================================================================== */

/**
 * A SCSI disk, apart from its blocks: it decides commands, and says what is to be done on storage.
 * It is for programs that have sessions of their own kind (iscsicore_target, or another transport);
 * iscsicore_host has units inside.
 *
 * Threads: any, one call at a time.
 */
typedef struct iscsicore_unit iscsicore_unit;

/** Why a unit is reset. */
typedef enum iscsicore_reset_cause {
    /** Power on, TARGET COLD RESET. */
    ISCSICORE_RESET_CAUSE_POWER_ON = 1,
    /** TARGET WARM RESET. */
    ISCSICORE_RESET_CAUSE_TARGET = 2,
    /** LOGICAL UNIT RESET. */
    ISCSICORE_RESET_CAUSE_LOGICAL_UNIT = 3,
} iscsicore_reset_cause;

/**
 * A command that a unit has taken. It belongs to that unit: no other one goes on with it.
 *
 * Threads: any, one call at a time. What its step shows may be read on any thread, until the
 * command is resumed or freed.
 */
typedef struct iscsicore_disk_command iscsicore_disk_command;

/** What is to be done next for a command. */
typedef enum iscsicore_step_kind {
    /**
     * The command has ended: deliver `reply`, then free it. The data of the reply may be lent on,
     * to iscsicore_target_complete_with, say, with a `release` that frees the command: then nothing
     * is copied.
     */
    ISCSICORE_STEP_KIND_DONE = 1,
    /**
     * The command has `need` bytes of data: fetch as many of them as the initiator sends, then call
     * iscsicore_unit_resume_data.
     */
    ISCSICORE_STEP_KIND_NEED_DATA = 2,
    /**
     * Carry out `op` on the storage, then call iscsicore_unit_resume, or iscsicore_unit_resume_read
     * after a read that succeeded, or iscsicore_unit_resume_extents after extents were told.
     */
    ISCSICORE_STEP_KIND_IO = 3,
} iscsicore_step_kind;

/** How a command ended. */
typedef struct iscsicore_reply {
    /** The SCSI status. */
    uint8_t status;
    /** Bytes that the command moved, or would have: what iscsicore_target_complete takes. */
    uint32_t transfer_len;
    /** Sense data, with CHECK CONDITION; else NULL. */
    const uint8_t *sense;
    /** How many bytes of it. */
    size_t sense_len;
    /** Data for the initiator: `data_count` slices; NULL when there is none. */
    const iscsicore_iovec *data;
    /** How many slices. */
    size_t data_count;
    /** How many bytes in all. */
    size_t data_len;
} iscsicore_reply;

/** What is to be done next for a command. */
typedef struct iscsicore_step {
    /** What. */
    iscsicore_step_kind kind;
    /**
     * With ISCSICORE_STEP_KIND_NEED_DATA the number of bytes that the CDB asks for, which may be
     * more or less than the initiator is ready to send; else 0.
     */
    uint32_t need;
    /** With ISCSICORE_STEP_KIND_IO the operation; else NULL. */
    const iscsicore_op *op;
    /** With ISCSICORE_STEP_KIND_DONE the reply; else NULL. */
    const iscsicore_reply *reply;
} iscsicore_step;

/**
 * Makes a unit that nobody is attached to.
 *
 * Ownership: the caller's, until iscsicore_unit_free.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT and ISCSICORE_STATUS_INVALID_SIZE for options that are
 * none.
 */
iscsicore_status iscsicore_unit_new(const iscsicore_unit_options *options, iscsicore_unit **unit);

/** Ends a unit. Commands of it can only be freed from then on. NULL is taken. */
iscsicore_status iscsicore_unit_free(iscsicore_unit *unit);

/**
 * Makes an initiator known, as a number of the caller's choice, its nexus: unit attentions wait for
 * each by itself. The first one waits at once: with `relogin`, for an initiator that was there
 * before and lost its session, it says so. One that was attached already gets the attention again.
 */
iscsicore_status iscsicore_unit_attach(iscsicore_unit *unit, uint64_t nexus, int relogin);

/**
 * Forgets an initiator, and what waits for it.
 *
 * Errors: ISCSICORE_STATUS_UNKNOWN when it is not attached.
 */
iscsicore_status iscsicore_unit_detach(iscsicore_unit *unit, uint64_t nexus);

/**
 * Says what an initiator may do: an iscsicore_access. Everything, until something is said.
 *
 * Errors: ISCSICORE_STATUS_UNKNOWN when it is not attached.
 */
iscsicore_status iscsicore_unit_set_access(iscsicore_unit *unit, uint64_t nexus, int access);

/**
 * Says through which target port an initiator comes, which INQUIRY tells: the name is the target's,
 * ",t,0x" and the portal group tag in four digits (RFC 7143 section 4.4.2); `relative_id` counts
 * ports from 1 on.
 *
 * Errors: ISCSICORE_STATUS_UNKNOWN when the initiator is not attached.
 */
iscsicore_status iscsicore_unit_set_port(iscsicore_unit *unit,
                                         uint64_t nexus,
                                         const char *name,
                                         uint16_t relative_id);

/**
 * Resets the unit: its mode parameters go back to their defaults, it is started, and every
 * initiator learns of it. `cause` is an iscsicore_reset_cause. The caller ends the commands: those
 * from before can only be freed.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for a cause that is none.
 */
iscsicore_status iscsicore_unit_reset(iscsicore_unit *unit, int cause);

/**
 * Changes the capacity, and tells every initiator if it is another one. Commands that run are held
 * to the new one.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for no blocks, or more than 2^63 bytes.
 */
iscsicore_status iscsicore_unit_resize(iscsicore_unit *unit, uint64_t blocks);

/**
 * Tells how many logical blocks the unit has, and how many bytes each; `block_size` may be NULL.
 */
iscsicore_status iscsicore_unit_blocks(iscsicore_unit *unit,
                                       uint64_t *blocks,
                                       uint32_t *block_size);

/**
 * Tells the initiator `of` that `by` has cleared its commands (CLEAR TASK SET); nothing when both
 * are the same, or `of` is not attached.
 */
iscsicore_status iscsicore_unit_tasks_cleared(iscsicore_unit *unit, uint64_t by, uint64_t of);

/**
 * Tells an initiator that commands of it were ended by the protocol: after
 * iscsicore_target_reinstate, when some were under way (RFC 7143 section 11.14.5).
 *
 * Errors: ISCSICORE_STATUS_UNKNOWN when it is not attached.
 */
iscsicore_status iscsicore_unit_tasks_terminated(iscsicore_unit *unit, uint64_t nexus);

/**
 * Tells an initiator that REPORT LUNS has another answer for it now; with `reported` that it has
 * asked by itself, which it need not be told any more.
 *
 * Errors: ISCSICORE_STATUS_UNKNOWN when it is not attached.
 */
iscsicore_status iscsicore_unit_luns_changed(iscsicore_unit *unit, uint64_t nexus, int reported);

/**
 * Takes a command of an initiator: `data_in` is what that takes at most, and `data_out` what it is
 * ready to send, in bytes; `attribute` is an iscsicore_task_attribute. What is to be done says
 * iscsicore_disk_command_step.
 *
 * REPORT LUNS is answered by iscsicore_disk_command_report_luns, which knows the other units: this
 * unit answers that it is LUN 0.
 *
 * Ownership: the command is the caller's, until iscsicore_disk_command_free.
 *
 * Errors: ISCSICORE_STATUS_UNKNOWN for a nexus that is not attached,
 * ISCSICORE_STATUS_INVALID_ARGUMENT for a CDB of no bytes or more than 260, and for an attribute
 * that is none. Everything else that is wrong with a command is told to the initiator, in its
 * reply.
 */
iscsicore_status iscsicore_unit_start(iscsicore_unit *unit,
                                      uint64_t nexus,
                                      const uint8_t *cdb,
                                      size_t cdb_len,
                                      int attribute,
                                      uint32_t data_in,
                                      uint32_t data_out,
                                      iscsicore_disk_command **command);

/**
 * Shows what is to be done next for a command.
 *
 * Ownership: the library's. The step and all that it points to live until the command is resumed or
 * freed.
 *
 * Errors: ISCSICORE_STATUS_WRONG_STATE when nothing is to be done any more, after a bug of the
 * library.
 */
iscsicore_status iscsicore_disk_command_step(iscsicore_disk_command *command,
                                             const iscsicore_step **step);

/**
 * Ends a command, whether it is done or was aborted, with the memory that its step shows. NULL is
 * taken.
 */
iscsicore_status iscsicore_disk_command_free(iscsicore_disk_command *command);

/**
 * Answers REPORT LUNS, for an initiator that sees `count` LUNs, whichever LUN it was sent to: a
 * command that is done at once. When its reply is delivered, tell the units of the initiator by
 * iscsicore_unit_luns_changed, with `reported` set.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for a CDB of no bytes, or more than 260, and for more
 * than 16384 LUNs.
 */
iscsicore_status iscsicore_disk_command_report_luns(const uint8_t *cdb,
                                                    size_t cdb_len,
                                                    const uint64_t *luns,
                                                    size_t count,
                                                    iscsicore_disk_command **command);

/**
 * Answers a command, other than REPORT LUNS, for a LUN behind which there is no unit: a command
 * that is done at once.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for a CDB of no bytes, or more than 260.
 */
iscsicore_status iscsicore_disk_command_absent_unit(const uint8_t *cdb,
                                                    size_t cdb_len,
                                                    iscsicore_disk_command **command);

/**
 * Goes on with a command whose operation was carried out, or has failed: `io` is an iscsicore_io,
 * and `at` the offset in bytes of an ISCSICORE_IO_MEDIUM_ERROR. The next step is told by
 * iscsicore_disk_command_step.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT when the command is another unit's, or the outcome does
 * not fit the operation; ISCSICORE_STATUS_WRONG_STATE when the command does not wait for this, has
 * ended, or began before a reset of the unit. The command waits as before, then.
 */
iscsicore_status iscsicore_unit_resume(iscsicore_unit *unit,
                                       iscsicore_disk_command *command,
                                       int io,
                                       uint64_t at);

/**
 * Goes on with a command whose read has succeeded: `data` has exactly the bytes that were to be
 * read.
 *
 * Ownership: lent payload is given back when neither the command nor a session to which its reply
 * was handed needs it; the reply shows it where it is.
 *
 * Errors: as of iscsicore_unit_resume. Nothing was lent, then.
 */
iscsicore_status iscsicore_unit_resume_read(iscsicore_unit *unit,
                                            iscsicore_disk_command *command,
                                            const iscsicore_payload *data);

/**
 * Goes on with a command that has asked for extents: `count` of them, from the offset of the
 * operation on.
 *
 * Errors: as of iscsicore_unit_resume.
 */
iscsicore_status iscsicore_unit_resume_extents(iscsicore_unit *unit,
                                               iscsicore_disk_command *command,
                                               const iscsicore_extent *extents,
                                               size_t count);

/**
 * Goes on with a command whose data has arrived: as much as the initiator sent. What is more than
 * was needed is not looked at.
 *
 * Ownership: lent payload is given back when the command needs it no more: ISCSICORE_OP_KIND_WRITE
 * shows it where it is.
 *
 * Errors: as of iscsicore_unit_resume. Nothing was lent, then.
 */
iscsicore_status iscsicore_unit_resume_data(iscsicore_unit *unit,
                                            iscsicore_disk_command *command,
                                            const iscsicore_payload *data);

/* ==============================================================================================
 * A target session, for programs that carry out SCSI commands themselves
 * ============================================================================================== */

/**
 * One session with an initiator, from the connection that was accepted to the end of its last
 * command. It is for programs that answer SCSI commands themselves (a tape, a disk of their own
 * kind); a server of disks is iscsicore_host.
 *
 * The contract: after any call on it take iscsicore_target_next_event until there is none, call
 * iscsicore_target_transmit, and re-arm a timer for iscsicore_target_timeout. The order does not
 * matter, and too often is harmless. When bytes have arrived, and whenever the transmitter was
 * emptied or a login was answered, call iscsicore_target_receive.
 *
 * It begins as a login. ISCSICORE_TARGET_EVENT_KIND_LOGIN says who wants in: answer with
 * iscsicore_target_admit, iscsicore_target_refuse or iscsicore_target_redirect.
 * ISCSICORE_TARGET_EVENT_KIND_READY says that all is agreed and proved: answer with
 * iscsicore_target_establish (a new session), iscsicore_target_reinstate (it takes the place of the
 * connection of another session) or iscsicore_target_refuse. From then on it is a session, and
 * commands come.
 *
 * A function that belongs to a session answers ISCSICORE_STATUS_WRONG_STATE during the login, and
 * the other way round; and every one but iscsicore_target_free does for a login that
 * iscsicore_target_reinstate has taken.
 *
 * Threads: any, one call at a time.
 */
typedef struct iscsicore_target iscsicore_target;

/**
 * A CHAP name and its secret. RFC 7143 section 9.2.1 asks for secrets of 12 bytes or more, of which
 * people make none by hand.
 */
typedef struct iscsicore_account {
    /** The name, of 1 to 255 bytes, compared byte for byte. */
    const char *name;
    /** The secret: `secret_len` bytes. */
    const uint8_t *secret;
    /** How many bytes; not 0. */
    size_t secret_len;
} iscsicore_account;

/**
 * On what terms a login may go on. Set `size` to sizeof(iscsicore_admission); every field that is 0
 * has its default. All of it is copied.
 */
typedef struct iscsicore_admission {
    /** sizeof(iscsicore_admission). */
    size_t size;
    /** What operational keys are answered with. Default: as iscsicore_offer says. */
    const iscsicore_offer *offer;
    /** TargetAlias, 1 to 255 bytes for people to read. Default: none. */
    const char *alias;
    /**
     * Who may log in: `account_count` accounts, one of which must be proved by CHAP. Default, NULL:
     * nothing must be proved. A pointer to no account at all lets nobody in.
     */
    const iscsicore_account *accounts;
    /** How many accounts. */
    size_t account_count;
    /**
     * By what this end proves itself to an initiator that asks for it. Its secret must not be that
     * of an account. Default, NULL: initiators that ask are refused.
     */
    const iscsicore_account *mutual;
    /**
     * The tag of the portal group that the connection came in by. Default: 1 where the login names
     * a target.
     */
    uint16_t portal_group_tag;
    /** Not used; 0. */
    uint16_t reserved;
    /** Not used; 0. */
    uint32_t reserved2;
} iscsicore_admission;

/** Counts since a session began. */
typedef struct iscsicore_counters {
    /** SCSI commands received. */
    uint64_t commands;
    /** Bytes of payload received for commands. */
    uint64_t bytes_out;
    /** Bytes of payload sent for commands. */
    uint64_t bytes_in;
    /** Task management functions received. */
    uint64_t task_management;
    /** Reject PDUs sent. */
    uint64_t rejects;
    /** PDUs with a wrong data digest received. */
    uint64_t digest_errors;
} iscsicore_counters;

/**
 * What happened. The kind says which member of the union means something; kinds without one are
 * complete by themselves. Later versions may have more kinds: let programs pass over those that
 * they do not know.
 */
typedef enum iscsicore_target_event_kind {
    /**
     * `u.login`: somebody wants to log in. Answer with iscsicore_target_admit,
     * iscsicore_target_refuse or iscsicore_target_redirect.
     */
    ISCSICORE_TARGET_EVENT_KIND_LOGIN = 1,
    /**
     * `u.ready`: the login is complete but for its last answer. Answer with
     * iscsicore_target_establish, iscsicore_target_reinstate, iscsicore_target_refuse or
     * iscsicore_target_redirect.
     */
    ISCSICORE_TARGET_EVENT_KIND_READY = 2,
    /**
     * `u.command`: a SCSI command, in the order in which the initiator numbered them. End it with
     * iscsicore_target_complete or iscsicore_target_complete_with.
     */
    ISCSICORE_TARGET_EVENT_KIND_COMMAND = 3,
    /**
     * `u.data`: the payload that iscsicore_target_accept asked for; iscsicore_target_keep_data
     * makes it outlive the event.
     */
    ISCSICORE_TARGET_EVENT_KIND_DATA = 4,
    /**
     * `u.abort`: the command is over for the initiator. If its payload was asked for and has not
     * come, forget it: it has ended. In any other case end it, as soon as nothing of it can touch
     * the medium any more; the answer is dropped, but the abort waits for it.
     */
    ISCSICORE_TARGET_EVENT_KIND_ABORT = 5,
    /**
     * `u.task_management`: a function that concerns more than the commands of this session, which
     * are being aborted already. Carry it out on the logical units and the other sessions, then
     * call iscsicore_target_answer_task_management.
     */
    ISCSICORE_TARGET_EVENT_KIND_TASK_MANAGEMENT = 6,
    /**
     * `u.send_targets`: the initiator asks for targets. Call iscsicore_target_answer_send_targets.
     */
    ISCSICORE_TARGET_EVENT_KIND_SEND_TARGETS = 7,
    /** `u.tasks_aborted`: all commands of a call of iscsicore_target_abort_tasks have ended. */
    ISCSICORE_TARGET_EVENT_KIND_TASKS_ABORTED = 8,
    /**
     * The connection has come to its end: transmit, write what the transmitter holds, then close
     * it. To call iscsicore_target_lost after that is harmless.
     */
    ISCSICORE_TARGET_EVENT_KIND_CLOSE = 9,
    /**
     * `u.ended`: nothing is left of the session, or the login has failed: free it. Nothing follows.
     */
    ISCSICORE_TARGET_EVENT_KIND_ENDED = 10,
} iscsicore_target_event_kind;

/** Who wants to log in, and where to. */
typedef struct iscsicore_target_login_event {
    /** InitiatorName, checked, in the form in which names are compared byte for byte. */
    const char *initiator;
    /** InitiatorAlias, or NULL. */
    const char *initiator_alias;
    /** TargetName, in the same form; NULL in a discovery session that names none. */
    const char *target;
    /** Whether it is a discovery session: SendTargets, and nothing else. */
    bool discovery;
    /**
     * ISID: with `initiator`, `target` and the portal group it names the session. A second login of
     * the same name, with `tsih` 0, takes the place of the first: terminate that session, wait for
     * its end, then establish the new one (RFC 7143 section 6.3.5).
     */
    uint8_t isid[6];
    /**
     * 0 asks for a new session; any other number is the session that the connection wants to join,
     * which is the occasion for iscsicore_target_reinstate.
     */
    uint16_t tsih;
    /** The connection within the session. */
    uint16_t cid;
} iscsicore_target_login_event;

/** A login that is complete but for its last answer. */
typedef struct iscsicore_target_ready_event {
    /** The CHAP name that was proved; NULL where nothing had to be. */
    const char *user;
} iscsicore_target_ready_event;

/** How the target is to order a command among others (RFC 7143 section 11.3.1). */
typedef enum iscsicore_task_attribute {
    /** The target chooses. */
    ISCSICORE_TASK_ATTRIBUTE_UNTAGGED = 0,
    /** In any order. */
    ISCSICORE_TASK_ATTRIBUTE_SIMPLE = 1,
    /** After all earlier commands, before all later ones. */
    ISCSICORE_TASK_ATTRIBUTE_ORDERED = 2,
    /** Before all commands that wait. */
    ISCSICORE_TASK_ATTRIBUTE_HEAD_OF_QUEUE = 3,
    /** Auto contingent allegiance. */
    ISCSICORE_TASK_ATTRIBUTE_ACA = 4,
    /** A code that no RFC defines. A target is told of it; nobody sends it. */
    ISCSICORE_TASK_ATTRIBUTE_UNKNOWN = 255,
} iscsicore_task_attribute;

/** A SCSI command. */
typedef struct iscsicore_target_command_event {
    /** Names the command in every call about it, until it is ended. */
    uint64_t task;
    /** The logical unit, as the initiator wrote it: see iscsicore_lun_number. */
    uint64_t lun;
    /** The CDB. */
    const uint8_t *cdb;
    /** How many bytes: 16, which shorter CDBs are padded to with zeros, to 260. */
    size_t cdb_len;
    /** How it is to be ordered among others. */
    iscsicore_task_attribute attribute;
    /** Bytes that the initiator takes. */
    uint32_t data_in;
    /** Bytes that the initiator is ready to send. */
    uint32_t data_out;
} iscsicore_target_command_event;

/** The payload of a command. */
typedef struct iscsicore_target_data_event {
    /** The command. */
    uint64_t task;
    /**
     * All of it, as it arrived, uncopied: as much as was asked for, or as the initiator said that
     * it would send, whichever is less.
     */
    const iscsicore_iovec *data;
    /** How many slices. */
    size_t data_count;
    /** How many bytes in all. */
    size_t data_len;
} iscsicore_target_data_event;

/** The end of a command that was not waited for. */
typedef struct iscsicore_target_abort_event {
    /** The command. */
    uint64_t task;
} iscsicore_target_abort_event;

/** A task management function (RFC 7143 section 11.5.1, RFC 7144 section 6.3). */
typedef enum iscsicore_task_management_function {
    /** ABORT TASK: ends one command. */
    ISCSICORE_TASK_MANAGEMENT_FUNCTION_ABORT_TASK = 1,
    /** ABORT TASK SET: ends the commands of this nexus on the logical unit. */
    ISCSICORE_TASK_MANAGEMENT_FUNCTION_ABORT_TASK_SET = 2,
    /** CLEAR ACA. */
    ISCSICORE_TASK_MANAGEMENT_FUNCTION_CLEAR_ACA = 3,
    /** CLEAR TASK SET: ends all commands on the logical unit. */
    ISCSICORE_TASK_MANAGEMENT_FUNCTION_CLEAR_TASK_SET = 4,
    /** LOGICAL UNIT RESET. */
    ISCSICORE_TASK_MANAGEMENT_FUNCTION_LOGICAL_UNIT_RESET = 5,
    /** TARGET WARM RESET. */
    ISCSICORE_TASK_MANAGEMENT_FUNCTION_TARGET_WARM_RESET = 6,
    /** TARGET COLD RESET: the session ends, too. */
    ISCSICORE_TASK_MANAGEMENT_FUNCTION_TARGET_COLD_RESET = 7,
    /** TASK REASSIGN. */
    ISCSICORE_TASK_MANAGEMENT_FUNCTION_TASK_REASSIGN = 8,
    /** QUERY TASK (RFC 7144). */
    ISCSICORE_TASK_MANAGEMENT_FUNCTION_QUERY_TASK = 9,
    /** QUERY TASK SET (RFC 7144). */
    ISCSICORE_TASK_MANAGEMENT_FUNCTION_QUERY_TASK_SET = 10,
    /** I_T NEXUS RESET (RFC 7144). */
    ISCSICORE_TASK_MANAGEMENT_FUNCTION_NEXUS_RESET = 11,
    /** QUERY ASYNCHRONOUS EVENT (RFC 7144). */
    ISCSICORE_TASK_MANAGEMENT_FUNCTION_QUERY_ASYNCHRONOUS_EVENT = 12,
    /** A code that no RFC defines. A target is told of it; nobody sends it. */
    ISCSICORE_TASK_MANAGEMENT_FUNCTION_UNKNOWN = 255,
} iscsicore_task_management_function;

/** A task management function. */
typedef struct iscsicore_target_task_management_event {
    /** Names the request in the answer. */
    uint64_t request;
    /**
     * What is asked for: ABORT TASK SET, CLEAR TASK SET or a reset. The library answers the others
     * by itself.
     */
    iscsicore_task_management_function function;
    /** The logical unit, for the functions that concern one. */
    uint64_t lun;
} iscsicore_target_task_management_event;

/** Which targets are asked for. */
typedef enum iscsicore_send_targets {
    /** All that the initiator may use. */
    ISCSICORE_SEND_TARGETS_ALL = 0,
    /** One, by its name. */
    ISCSICORE_SEND_TARGETS_NAMED = 1,
    /** The one of this session. */
    ISCSICORE_SEND_TARGETS_CURRENT = 2,
} iscsicore_send_targets;

/** A question for targets. */
typedef struct iscsicore_target_send_targets_event {
    /** Names the request in the answer. */
    uint64_t request;
    /** Which targets are asked for. */
    iscsicore_send_targets which;
    /** The name that is asked for, with ISCSICORE_SEND_TARGETS_NAMED; else NULL. */
    const char *target;
} iscsicore_target_send_targets_event;

/** The end of what iscsicore_target_abort_tasks began. */
typedef struct iscsicore_target_tasks_aborted_event {
    /** The call. */
    uint64_t abort;
} iscsicore_target_tasks_aborted_event;

/** Why a session is over, or a login. */
typedef enum iscsicore_end_reason {
    /** The initiator logged out. */
    ISCSICORE_END_REASON_LOGGED_OUT = 1,
    /** The connection was lost, and not restored in time. */
    ISCSICORE_END_REASON_CONNECTION_LOST = 2,
    /** The initiator broke the protocol. */
    ISCSICORE_END_REASON_PROTOCOL_ERROR = 3,
    /** The initiator did not answer in time. */
    ISCSICORE_END_REASON_TIMED_OUT = 4,
    /** The program ended it. */
    ISCSICORE_END_REASON_TERMINATED = 5,
    /** The login failed, was refused, or was sent elsewhere. */
    ISCSICORE_END_REASON_LOGIN_FAILED = 6,
    /** Another reason, which this version of the library has no name for. */
    ISCSICORE_END_REASON_OTHER = 255,
} iscsicore_end_reason;

/** The end. */
typedef struct iscsicore_target_ended_event {
    /** Why. */
    iscsicore_end_reason reason;
    /**
     * With ISCSICORE_END_REASON_LOGIN_FAILED what the initiator was told: an
     * iscsicore_login_status; else 0.
     */
    uint16_t login_status;
    /**
     * With ISCSICORE_END_REASON_LOGIN_FAILED what was wrong, for the log; it holds no secrets. Else
     * NULL.
     */
    const char *text;
} iscsicore_target_ended_event;

/** What belongs to an event: the member that its kind names. */
typedef union iscsicore_target_event_body {
    /** Of ISCSICORE_TARGET_EVENT_KIND_LOGIN. */
    iscsicore_target_login_event login;
    /** Of ISCSICORE_TARGET_EVENT_KIND_READY. */
    iscsicore_target_ready_event ready;
    /** Of ISCSICORE_TARGET_EVENT_KIND_COMMAND. */
    iscsicore_target_command_event command;
    /** Of ISCSICORE_TARGET_EVENT_KIND_DATA. */
    iscsicore_target_data_event data;
    /** Of ISCSICORE_TARGET_EVENT_KIND_ABORT. */
    iscsicore_target_abort_event abort;
    /** Of ISCSICORE_TARGET_EVENT_KIND_TASK_MANAGEMENT. */
    iscsicore_target_task_management_event task_management;
    /** Of ISCSICORE_TARGET_EVENT_KIND_SEND_TARGETS. */
    iscsicore_target_send_targets_event send_targets;
    /** Of ISCSICORE_TARGET_EVENT_KIND_TASKS_ABORTED. */
    iscsicore_target_tasks_aborted_event tasks_aborted;
    /** Of ISCSICORE_TARGET_EVENT_KIND_ENDED. */
    iscsicore_target_ended_event ended;
} iscsicore_target_event_body;

/** Something that the program has to act on. */
typedef struct iscsicore_target_event {
    /** What happened. */
    iscsicore_target_event_kind kind;
    /** What belongs to it. */
    iscsicore_target_event_body u;
} iscsicore_target_event;

/**
 * Payload of a command that was kept: what an event showed stays where it is until this is freed.
 *
 * Threads: any.
 */
typedef struct iscsicore_kept_data iscsicore_kept_data;

/**
 * What a target tells an initiator whose login does not succeed: Status-Class and Status-Detail
 * (RFC 7143 section 11.13.5).
 */
typedef enum iscsicore_login_status {
    /** Try another address, for now. */
    ISCSICORE_LOGIN_STATUS_MOVED_TEMPORARILY = 257,
    /** Try another address from now on. */
    ISCSICORE_LOGIN_STATUS_MOVED_PERMANENTLY = 258,
    /** The initiator made a mistake that has no status of its own. */
    ISCSICORE_LOGIN_STATUS_INITIATOR_ERROR = 512,
    /** The initiator did not prove who it is. */
    ISCSICORE_LOGIN_STATUS_AUTHENTICATION_FAILURE = 513,
    /** The initiator may not use this target. */
    ISCSICORE_LOGIN_STATUS_AUTHORIZATION_FAILURE = 514,
    /** There is no such target here. */
    ISCSICORE_LOGIN_STATUS_NOT_FOUND = 515,
    /** The target is gone for good. */
    ISCSICORE_LOGIN_STATUS_TARGET_REMOVED = 516,
    /** No version in common. */
    ISCSICORE_LOGIN_STATUS_UNSUPPORTED_VERSION = 517,
    /** The session takes no more connections. */
    ISCSICORE_LOGIN_STATUS_TOO_MANY_CONNECTIONS = 518,
    /** Something that must be said was not. */
    ISCSICORE_LOGIN_STATUS_MISSING_PARAMETER = 519,
    /** This connection cannot be part of that session. */
    ISCSICORE_LOGIN_STATUS_CANT_INCLUDE_IN_SESSION = 520,
    /** There are no sessions of this type here. */
    ISCSICORE_LOGIN_STATUS_SESSION_TYPE_NOT_SUPPORTED = 521,
    /** There is no such session. */
    ISCSICORE_LOGIN_STATUS_SESSION_DOES_NOT_EXIST = 522,
    /** The request does not fit the state of the login. */
    ISCSICORE_LOGIN_STATUS_INVALID_DURING_LOGIN = 523,
    /** The target failed. */
    ISCSICORE_LOGIN_STATUS_TARGET_ERROR = 768,
    /** The target cannot serve now: try again later. */
    ISCSICORE_LOGIN_STATUS_SERVICE_UNAVAILABLE = 769,
    /** The target has no room for the session. */
    ISCSICORE_LOGIN_STATUS_OUT_OF_RESOURCES = 770,
} iscsicore_login_status;

/** Which commands iscsicore_target_abort_tasks ends. */
typedef enum iscsicore_abort_scope {
    /** All of the session. */
    ISCSICORE_ABORT_SCOPE_ALL = 0,
    /** Those for one logical unit. */
    ISCSICORE_ABORT_SCOPE_LOGICAL_UNIT = 1,
    /**
     * Those for one logical unit that came before a task management request of the same session:
     * for ABORT TASK SET and CLEAR TASK SET where the unit has another LUN than the one that the
     * request names.
     */
    ISCSICORE_ABORT_SCOPE_BEFORE = 2,
} iscsicore_abort_scope;

/**
 * Begins with a connection that was accepted. `limits` may be NULL; the receiver has the same ones.
 * `seed` is 32 bytes from the system's source of randomness, of no other use: challenges come from
 * it.
 *
 * Ownership: the caller's, until iscsicore_target_free.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for a limit out of its range.
 */
iscsicore_status iscsicore_target_new(const iscsicore_limits *limits,
                                      const uint8_t *seed,
                                      uint64_t now,
                                      iscsicore_target **target);

/**
 * Ends a session or a login at once, with all that it holds; nothing more is said to the initiator.
 * NULL is taken.
 */
iscsicore_status iscsicore_target_free(iscsicore_target *target);

/**
 * Takes the PDUs that the receiver has whole. A login stops at the event that it wants an answer
 * to: call again then.
 *
 * Errors: ISCSICORE_STATUS_PEER_ERROR when the initiator broke the protocol or its login failed or
 * was refused: events tell the end; transmit and write what there is, then close.
 * ISCSICORE_STATUS_WRONG_STATE when a login was lost.
 */
iscsicore_status iscsicore_target_receive(iscsicore_target *target,
                                          uint64_t now,
                                          iscsicore_receiver *receiver);

/** Moves what is to be sent into the transmitter. */
iscsicore_status iscsicore_target_transmit(iscsicore_target *target,
                                           uint64_t now,
                                           iscsicore_transmitter *transmitter);

/**
 * Tells that the connection is gone. A session whose login agreed on DefaultTime2Retain waits for
 * so long to be reinstated; any other ends. Commands that the caller has are told by
 * ISCSICORE_TARGET_EVENT_KIND_ABORT, and ISCSICORE_TARGET_EVENT_KIND_ENDED comes when they have
 * ended.
 */
iscsicore_status iscsicore_target_lost(iscsicore_target *target, uint64_t now);

/**
 * Tells when iscsicore_target_handle_timeout is to be called; ISCSICORE_NEVER when it need not be.
 * Any other call may change it.
 */
iscsicore_status iscsicore_target_timeout(iscsicore_target *target, uint64_t *at);

/**
 * Acts on the time that has passed; harmless when nothing is due.
 *
 * Errors: ISCSICORE_STATUS_PEER_ERROR when a login has taken too long; events tell its end.
 */
iscsicore_status iscsicore_target_handle_timeout(iscsicore_target *target, uint64_t now);

/**
 * Shows what is to be acted on next; `*event` is NULL when there is nothing.
 *
 * Ownership: the library's. The event and all that it points to live until the next call of this
 * function with this target, or until it is freed.
 */
iscsicore_status iscsicore_target_next_event(iscsicore_target *target,
                                             const iscsicore_target_event **event);

/**
 * Asks the initiator to log out within `within` nanoseconds, of which it is told the whole seconds;
 * after that the session ends. A discovery session ends at once.
 *
 * Errors: ISCSICORE_STATUS_WRONG_STATE during the login.
 */
iscsicore_status iscsicore_target_request_logout(iscsicore_target *target,
                                                 uint64_t now,
                                                 uint64_t within);

/**
 * Ends the session: its commands are aborted, its connection is to be closed, and
 * ISCSICORE_TARGET_EVENT_KIND_ENDED comes when the caller has ended the commands that it still has.
 *
 * Errors: ISCSICORE_STATUS_WRONG_STATE during the login, which is refused or freed instead.
 */
iscsicore_status iscsicore_target_terminate(iscsicore_target *target, uint64_t now);

/**
 * Tells what the login agreed on: from ISCSICORE_TARGET_EVENT_KIND_READY on.
 *
 * Errors: ISCSICORE_STATUS_WRONG_STATE before.
 */
iscsicore_status iscsicore_target_parameters(iscsicore_target *target,
                                             iscsicore_parameters *parameters);

/**
 * Tells how many commands and other requests of the initiator have not been answered; 0 during the
 * login.
 */
iscsicore_status iscsicore_target_outstanding(iscsicore_target *target, size_t *count);

/**
 * Asks for the payload of a command: its first `len` bytes, or fewer when the initiator has fewer.
 * `len` is what the CDB asks for. ISCSICORE_TARGET_EVENT_KIND_DATA brings it, unless the command is
 * aborted first.
 *
 * Errors: ISCSICORE_STATUS_UNKNOWN when the command has ended; ISCSICORE_STATUS_WRONG_STATE when it
 * was asked already.
 */
iscsicore_status iscsicore_target_accept(iscsicore_target *target, uint64_t task, uint32_t len);

/**
 * Sends payload to the initiator. What was sent in several calls arrives in the order of the calls;
 * what is more than the initiator takes is counted and not sent. The last of it is better handed to
 * iscsicore_target_complete_with.
 *
 * Ownership: lent payload is given back when it was written to the connection, or the command was
 * aborted.
 *
 * Errors: ISCSICORE_STATUS_UNKNOWN when the command has ended; ISCSICORE_STATUS_WRONG_STATE while
 * its own payload is waited for. Nothing was lent, then.
 */
iscsicore_status iscsicore_target_send_data(iscsicore_target *target,
                                            uint64_t task,
                                            const iscsicore_payload *data);

/**
 * Ends a command. `status` is the SCSI status, and `sense` the sense data: with CHECK CONDITION
 * (0x02), and only with that. `transfer_len` is the number of bytes that the command would have
 * moved had the initiator's expectation been right, which tells the initiator the residual count: 0
 * for a command that failed before it moved any. Of a bidirectional command it counts what was
 * received.
 *
 * Where the initiator broke the rules for the payload of the command, GOOD becomes CHECK CONDITION
 * (RFC 7143 section 11.4.7.2). What a command that was aborted is ended with is dropped.
 *
 * Errors: ISCSICORE_STATUS_UNKNOWN when the command has ended; ISCSICORE_STATUS_INVALID_ARGUMENT
 * when sense data is missing, or there where it cannot be, or has more than 252 bytes.
 */
iscsicore_status iscsicore_target_complete(iscsicore_target *target,
                                           uint64_t task,
                                           uint8_t status,
                                           const uint8_t *sense,
                                           size_t sense_len,
                                           uint32_t transfer_len);

/**
 * Sends the last payload of a command, as iscsicore_target_send_data does, and ends it, as
 * iscsicore_target_complete does. Payload that fits one PDU takes the status along. `data` may be
 * NULL.
 *
 * Errors: those of both functions. Nothing was lent, then, and the command has not ended.
 */
iscsicore_status iscsicore_target_complete_with(iscsicore_target *target,
                                                uint64_t task,
                                                const iscsicore_payload *data,
                                                uint8_t status,
                                                const uint8_t *sense,
                                                size_t sense_len,
                                                uint32_t transfer_len);

/**
 * Sends sense data about a logical unit that no command asked for: an Asynchronous Message of event
 * 0 (RFC 7143 section 11.9). Discovery sessions are not told.
 *
 * Errors: ISCSICORE_STATUS_WRONG_STATE during the login; ISCSICORE_STATUS_INVALID_ARGUMENT for no
 * sense data, or more than 252 bytes.
 */
iscsicore_status iscsicore_target_notify_sense(iscsicore_target *target,
                                               uint64_t lun,
                                               const uint8_t *sense,
                                               size_t sense_len);

/**
 * Shows what the session has counted.
 *
 * Ownership: the library's. The counters live, as they are now, until the next call of this
 * function with this target, or until it is freed.
 *
 * Errors: ISCSICORE_STATUS_WRONG_STATE during the login.
 */
iscsicore_status iscsicore_target_counters(iscsicore_target *target,
                                           const iscsicore_counters **counters);

/**
 * Keeps the payload that the last event, ISCSICORE_TARGET_EVENT_KIND_DATA, has shown: its slices,
 * and the array of them, stay where they are, beyond the next event and the end of the session, and
 * may be read on any thread. Nothing is copied. So they can be lent on, to
 * iscsicore_unit_resume_data, say, with a `release` that frees `*kept`. What is kept holds read
 * buffers: do not keep it for long.
 *
 * Ownership: the caller's, until iscsicore_kept_data_free.
 *
 * Errors: ISCSICORE_STATUS_WRONG_STATE when the last event was another, or its payload was kept
 * already.
 */
iscsicore_status iscsicore_target_keep_data(iscsicore_target *target, iscsicore_kept_data **kept);

/** Gives kept payload back. NULL is taken. */
iscsicore_status iscsicore_kept_data_free(iscsicore_kept_data *kept);

/**
 * Lets the login go on, on these terms. Answers ISCSICORE_TARGET_EVENT_KIND_LOGIN. Then call
 * iscsicore_target_receive and iscsicore_target_transmit. What the initiator asked for may fail the
 * terms at once: events tell that.
 *
 * Errors: ISCSICORE_STATUS_WRONG_STATE when no login waits for this;
 * ISCSICORE_STATUS_INVALID_ARGUMENT for terms that contradict themselves, an empty secret, or one
 * secret for both directions. The login waits still, then.
 */
iscsicore_status iscsicore_target_admit(iscsicore_target *target,
                                        const iscsicore_admission *admission);

/**
 * Refuses the login. Answers ISCSICORE_TARGET_EVENT_KIND_LOGIN or
 * ISCSICORE_TARGET_EVENT_KIND_READY. `status` is an iscsicore_login_status from 0x0200 on, which
 * the initiator is told; `why`, which may be NULL, comes with ISCSICORE_TARGET_EVENT_KIND_ENDED,
 * for the log.
 *
 * Errors: ISCSICORE_STATUS_WRONG_STATE when no login waits for an answer;
 * ISCSICORE_STATUS_INVALID_ARGUMENT for a status that refuses nothing.
 */
iscsicore_status iscsicore_target_refuse(iscsicore_target *target, int status, const char *why);

/**
 * Sends the initiator to another address: "host", "host:port", or the same with an IPv6 address in
 * brackets; for good when `permanent` is not 0. Answers ISCSICORE_TARGET_EVENT_KIND_LOGIN or
 * ISCSICORE_TARGET_EVENT_KIND_READY.
 *
 * Errors: ISCSICORE_STATUS_WRONG_STATE when no login waits for an answer;
 * ISCSICORE_STATUS_INVALID_ARGUMENT for what is no address.
 */
iscsicore_status iscsicore_target_redirect(iscsicore_target *target,
                                           int permanent,
                                           const char *address);

/**
 * Makes a new session of the login, with the handle `tsih`: not 0, and of no other session of this
 * target. Answers ISCSICORE_TARGET_EVENT_KIND_READY. Then call iscsicore_target_receive and
 * iscsicore_target_transmit with the same halves.
 *
 * Errors: ISCSICORE_STATUS_WRONG_STATE when the login is not complete;
 * ISCSICORE_STATUS_INVALID_ARGUMENT when `tsih` is 0, or not that of the session that the initiator
 * wants to join. The login waits still, then.
 */
iscsicore_status iscsicore_target_establish(iscsicore_target *target, uint64_t now, uint16_t tsih);

/**
 * Lets the connection of `login` take the place of the one that `target` has or had (RFC 7143
 * section 6.3.4), when the login named the `tsih` of that session. Commands of the old connection
 * are ended, and told by ISCSICORE_TARGET_EVENT_KIND_ABORT. Answers
 * ISCSICORE_TARGET_EVENT_KIND_READY of `login`.
 *
 * From then on `target` is used with the halves of the new connection: close the old one, and free
 * its halves. `login` is empty: every call but iscsicore_target_free answers
 * ISCSICORE_STATUS_WRONG_STATE.
 *
 * Errors: ISCSICORE_STATUS_WRONG_STATE when the login is not complete, or the session is over, and
 * ISCSICORE_STATUS_INVALID_ARGUMENT when the login is for another session, or another connection of
 * that is up: the login waits still, to be refused, say.
 */
iscsicore_status iscsicore_target_reinstate(iscsicore_target *target,
                                            uint64_t now,
                                            iscsicore_target *login);

/**
 * Answers ISCSICORE_TARGET_EVENT_KIND_TASK_MANAGEMENT; `result` is an
 * iscsicore_task_management_result. The answer leaves once the commands have ended that the
 * function aborts.
 *
 * Errors: ISCSICORE_STATUS_UNKNOWN when there is no such request any more.
 */
iscsicore_status iscsicore_target_answer_task_management(iscsicore_target *target,
                                                         uint64_t request,
                                                         int result);

/**
 * Ends commands without an answer to them, on behalf of another session (CLEAR TASK SET, a reset)
 * or of an administrator. `scope` is an iscsicore_abort_scope; `lun` and `request` count where it
 * says so. `*abort` names the call in ISCSICORE_TARGET_EVENT_KIND_TASKS_ABORTED, which tells when
 * they have ended: at once when there are none.
 *
 * Errors: ISCSICORE_STATUS_WRONG_STATE during the login.
 */
iscsicore_status iscsicore_target_abort_tasks(iscsicore_target *target,
                                              uint64_t now,
                                              int scope,
                                              uint64_t lun,
                                              uint64_t request,
                                              uint64_t *abort);

/** A network portal of a target. */
typedef struct iscsicore_target_address {
    /** "host:port", an IPv6 address in brackets. */
    const char *address;
    /** The portal group that it belongs to. */
    uint16_t portal_group_tag;
} iscsicore_target_address;

/** A target that an initiator may use. */
typedef struct iscsicore_target_record {
    /** The iSCSI name. */
    const char *name;
    /**
     * Where it can be reached: `address_count` addresses. None says: where the question was asked.
     */
    const iscsicore_target_address *addresses;
    /** How many addresses. */
    size_t address_count;
} iscsicore_target_record;

/**
 * Answers ISCSICORE_TARGET_EVENT_KIND_SEND_TARGETS with `count` targets, which may be none. They
 * are copied.
 *
 * Errors: ISCSICORE_STATUS_UNKNOWN when there is no such request any more;
 * ISCSICORE_STATUS_INVALID_ARGUMENT for what is no iSCSI name, or no address.
 */
iscsicore_status iscsicore_target_answer_send_targets(iscsicore_target *target,
                                                      uint64_t request,
                                                      const iscsicore_target_record *targets,
                                                      size_t count);

/* ==============================================================================================
 * Codes of the protocol
 * ============================================================================================== */

/** What became of a task management function (RFC 7143 section 11.6.1, RFC 7144 section 6.4.2). */
typedef enum iscsicore_task_management_result {
    /** It is carried out. */
    ISCSICORE_TASK_MANAGEMENT_RESULT_COMPLETE = 0,
    /** There is no such task. */
    ISCSICORE_TASK_MANAGEMENT_RESULT_TASK_DOES_NOT_EXIST = 1,
    /** There is no such LUN. */
    ISCSICORE_TASK_MANAGEMENT_RESULT_LUN_DOES_NOT_EXIST = 2,
    /** The task is still allegiant. */
    ISCSICORE_TASK_MANAGEMENT_RESULT_TASK_STILL_ALLEGIANT = 3,
    /** Reassignment of task allegiance is not supported. */
    ISCSICORE_TASK_MANAGEMENT_RESULT_REASSIGNMENT_NOT_SUPPORTED = 4,
    /** The function is not supported. */
    ISCSICORE_TASK_MANAGEMENT_RESULT_NOT_SUPPORTED = 5,
    /** The initiator may not do this. */
    ISCSICORE_TASK_MANAGEMENT_RESULT_AUTHORIZATION_FAILED = 6,
    /** A query found something (RFC 7144). */
    ISCSICORE_TASK_MANAGEMENT_RESULT_SUCCEEDED = 7,
    /** It was rejected. */
    ISCSICORE_TASK_MANAGEMENT_RESULT_REJECTED = 255,
} iscsicore_task_management_result;

/* ==============================================================================================
 * What SCSI answers mean
 * ============================================================================================== */

/** Blocks in a row, and whether they have storage: an entry of GET LBA STATUS. */
typedef struct iscsicore_lba_status {
    /** The first block. */
    uint64_t lba;
    /** How many. */
    uint32_t blocks;
    /**
     * PROVISIONING STATUS: 0 mapped or unknown, 1 deallocated, 2 anchored; other codes as they
     * came.
     */
    uint8_t status;
} iscsicore_lba_status;

/** A persistent reservation, as READ RESERVATION tells it. */
typedef struct iscsicore_reservation {
    /** The key of the holder; 0 when all registrants hold it, or nobody. */
    uint64_t key;
    /** PRGENERATION: counts changes of registrations. */
    uint32_t generation;
    /** Whether there is a reservation. */
    bool held;
    /** TYPE: an iscsicore_reservation_type, or another code as it came. */
    uint8_t reservation_type;
} iscsicore_reservation;

/**
 * What sense data say: SENSE KEY, ADDITIONAL SENSE CODE and its qualifier, and what is told
 * besides. A field without its `has_` is 0.
 */
typedef struct iscsicore_sense {
    /** SENSE KEY: 5 is ILLEGAL REQUEST, 6 UNIT ATTENTION, and so on. */
    uint8_t key;
    /** ADDITIONAL SENSE CODE. */
    uint8_t asc;
    /** ADDITIONAL SENSE CODE QUALIFIER. */
    uint8_t ascq;
    /** The bit of the field in error, 7 to 0. */
    uint8_t field_bit;
    /** The byte of the field in error. */
    uint16_t field_byte;
    /** How far an operation has come, in 65536ths. */
    uint16_t progress;
    /** INFORMATION: for medium errors and addresses out of range a logical block address. */
    uint64_t information;
    /** COMMAND-SPECIFIC INFORMATION. */
    uint64_t command_specific;
    /** Not 0 when this is about an earlier command that was answered already. */
    int deferred;
    /** ILI: not 0 when a block is not as long as the command says. */
    int incorrect_length;
    /** Not 0 when `information` is told. */
    int has_information;
    /** Not 0 when `command_specific` is told. */
    int has_command_specific;
    /** Not 0 when `progress` is told. */
    int has_progress;
    /** Not 0 when `field_byte` is told. */
    int has_field;
    /** Not 0 when the field stands in the parameter list, 0 when in the CDB. */
    int field_in_data;
    /** Not 0 when `field_bit` is told. */
    int has_field_bit;
} iscsicore_sense;

/** The size of a logical unit, and how its blocks are kept. */
typedef struct iscsicore_capacity {
    /**
     * Logical blocks. 2^32 from READ CAPACITY(10) says that it could not tell: ask READ
     * CAPACITY(16).
     */
    uint64_t blocks;
    /** Bytes of a logical block; never 0. */
    uint32_t block_size;
    /** Bytes of a physical block. */
    uint32_t physical_block_size;
    /** The first logical block that begins a physical one. */
    uint16_t lowest_aligned;
    /** LBPME: logical blocks may be unmapped. */
    bool thin;
    /** LBPRZ: unmapped blocks read as zeros. */
    bool read_zeroes;
    /** The type of protection information in use: 1 to 3, or 0. */
    uint8_t protection;
} iscsicore_capacity;

/**
 * What standard INQUIRY data say. Texts end with NUL, have no padding, and `?` for what is not
 * printable ASCII.
 */
typedef struct iscsicore_inquiry {
    /** PERIPHERAL QUALIFIER: 0 when a unit is there, 1 when one could be, 3 when none can be. */
    uint8_t peripheral_qualifier;
    /** PERIPHERAL DEVICE TYPE: 0 for a disk, 1 for a tape, 1Fh for none. */
    uint8_t device_type;
    /** VERSION: 6 for SPC-4, 7 for SPC-5, 0 for no standard. */
    uint8_t version;
    /** RESPONSE DATA FORMAT: 2. */
    uint8_t response_data_format;
    /** TPGS: bit 0 for implicit, bit 1 for explicit asymmetric access. */
    uint8_t tpgs;
    /** RMB: the medium can be taken out. */
    bool removable;
    /** HISUP: LUNs are assigned hierarchically. */
    bool hierarchical;
    /** 3PC: third-party copies. */
    bool third_party_copy;
    /** PROTECT: protection information. */
    bool protect;
    /** MULTIP: several target ports. */
    bool multi_port;
    /** CMDQUE: several commands at a time. */
    bool command_queuing;
    /** T10 VENDOR IDENTIFICATION. */
    char vendor[9];
    /** PRODUCT IDENTIFICATION. */
    char product[17];
    /** PRODUCT REVISION LEVEL. */
    char revision[5];
} iscsicore_inquiry;

/** A name in the Device Identification page (83h). */
typedef struct iscsicore_designator {
    /** ASSOCIATION: 0 for the logical unit, 1 for the target port, 2 for the target device. */
    uint8_t association;
    /**
     * DESIGNATOR TYPE: 1 for T10 vendor, 2 for EUI-64, 3 for NAA, 4 for a relative target port, 8
     * for a name string.
     */
    uint8_t designator_type;
    /** CODE SET: 1 for binary, 2 for ASCII, 3 for UTF-8. */
    uint8_t code_set;
    /** PROTOCOL IDENTIFIER, 5 for iSCSI; -1 when it is not told. */
    int protocol;
} iscsicore_designator;

/** The Block Limits page (B0h). 0 is not told, unless said otherwise. */
typedef struct iscsicore_block_limits {
    /** MAXIMUM WRITE SAME LENGTH, in blocks. */
    uint64_t max_write_same;
    /** MAXIMUM TRANSFER LENGTH, in blocks. */
    uint32_t max_transfer;
    /** OPTIMAL TRANSFER LENGTH, in blocks. */
    uint32_t optimal_transfer;
    /** MAXIMUM PREFETCH LENGTH, in blocks. */
    uint32_t max_prefetch;
    /** MAXIMUM UNMAP LBA COUNT; 0: no UNMAP. */
    uint32_t max_unmap_blocks;
    /** MAXIMUM UNMAP BLOCK DESCRIPTOR COUNT; 0: no UNMAP. */
    uint32_t max_unmap_descriptors;
    /** OPTIMAL UNMAP GRANULARITY, in blocks. */
    uint32_t unmap_granularity;
    /** UNMAP GRANULARITY ALIGNMENT, in blocks, if `has_unmap_alignment`. */
    uint32_t unmap_alignment;
    /** MAXIMUM ATOMIC TRANSFER LENGTH, in blocks. */
    uint32_t atomic_max_transfer;
    /** ATOMIC ALIGNMENT, in blocks. */
    uint32_t atomic_alignment;
    /** ATOMIC TRANSFER LENGTH GRANULARITY, in blocks. */
    uint32_t atomic_granularity;
    /** MAXIMUM ATOMIC TRANSFER LENGTH WITH ATOMIC BOUNDARY, in blocks. */
    uint32_t atomic_max_transfer_with_boundary;
    /** MAXIMUM ATOMIC BOUNDARY SIZE, in blocks. */
    uint32_t atomic_max_boundary;
    /** OPTIMAL TRANSFER LENGTH GRANULARITY, in blocks. */
    uint16_t optimal_granularity;
    /** MAXIMUM COMPARE AND WRITE LENGTH, in blocks; 0: no COMPARE AND WRITE. */
    uint8_t max_compare_and_write;
    /** UGAVALID: whether `unmap_alignment` is told. */
    bool has_unmap_alignment;
    /** WSNZ: whether WRITE SAME takes no block count of zero. */
    bool write_same_non_zero;
} iscsicore_block_limits;

/** The Block Device Characteristics page (B1h). */
typedef struct iscsicore_block_characteristics {
    /** MEDIUM ROTATION RATE: 0 when it is not told, 1 when nothing rotates, else turns a minute. */
    uint16_t rotation_rate;
    /** PRODUCT TYPE; 0 when it is not told. */
    uint8_t product_type;
    /**
     * NOMINAL FORM FACTOR: 1 for 5.25 inch, 2 for 3.5, 3 for 2.5, 4 for 1.8, 5 for less; else not
     * told.
     */
    uint8_t form_factor;
    /** ZONED: 1 for host aware, 2 for device managed. */
    uint8_t zoned;
    /** FUAB: SYNCHRONIZE CACHE and FUA mean what SBC-3 says, not what SBC-2 says. */
    bool fua_behaviour;
    /** VBULS: unmapped blocks can be compared with data. */
    bool verifies_unmapped;
} iscsicore_block_characteristics;

/** The Logical Block Provisioning page (B2h). */
typedef struct iscsicore_provisioning {
    /** PROVISIONING TYPE: 1 for resource provisioned, 2 for thin; else not told. */
    uint8_t provisioning_type;
    /** THRESHOLD EXPONENT; 0 without thresholds. */
    uint8_t threshold_exponent;
    /**
     * LBPRZ: what unmapped blocks read as: 0 for nothing certain, 1 for zeros, 2 for the
     * initialization pattern.
     */
    uint8_t read_zeroes;
    /** MINIMUM PERCENTAGE. */
    uint8_t minimum_percentage;
    /** THRESHOLD PERCENTAGE. */
    uint8_t threshold_percentage;
    /** LBPU: UNMAP. */
    bool unmap;
    /** LBPWS: WRITE SAME(16) with UNMAP. */
    bool write_same_16;
    /** LBPWS10: WRITE SAME(10) with UNMAP. */
    bool write_same_10;
    /** ANC_SUP: blocks can be anchored. */
    bool anchor;
} iscsicore_provisioning;

/** What the Extended INQUIRY Data page (86h) says that a disk's user may want to know. */
typedef struct iscsicore_extended_inquiry {
    /** EXTENDED SELF-TEST COMPLETION MINUTES. */
    uint16_t self_test_minutes;
    /** MAXIMUM SUPPORTED SENSE DATA LENGTH; 0 when it is not told. */
    uint8_t max_sense_len;
    /** SIMPSUP: simple task attributes. */
    bool simple;
    /** ORDSUP: ordered task attributes. */
    bool ordered;
    /** HEADSUP: head of queue task attributes. */
    bool head_of_queue;
    /** V_SUP: there is a volatile cache. */
    bool volatile_cache;
    /** NV_SUP: there is a non-volatile cache. */
    bool non_volatile_cache;
    /** WU_SUP: WRITE LONG can mark blocks as unrecoverable. */
    bool write_uncorrectable;
    /** LUICLR: unit attentions of a LUN inventory change are cleared for the whole nexus. */
    bool lun_attention_cleared;
} iscsicore_extended_inquiry;

/**
 * What people call a SCSI status, such as "CHECK CONDITION"; for a code that has no name, "unknown
 * status". The string lives for ever. Any thread.
 */
const char *iscsicore_scsi_status_text(int status);

/**
 * Writes what people call a command, such as "READ(10)" or "PERSISTENT RESERVE OUT (REGISTER)",
 * into `buffer`, and a NUL behind it. `*len` is the length without the NUL, whether it fits or not;
 * 128 bytes are always enough. Any thread.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for a CDB of no or more than 260 bytes,
 * ISCSICORE_STATUS_BUFFER_TOO_SMALL.
 */
iscsicore_status iscsicore_cdb_name(const uint8_t *cdb,
                                    size_t cdb_len,
                                    char *buffer,
                                    size_t capacity,
                                    size_t *len);

/**
 * Reads the answer to REPORT LUNS: the LUNs in it, as 64 bits each. `*count` is their number,
 * whether they fit or not. That there are more than the answer had room for,
 * iscsicore_command_stated_len tells. Any thread.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for less than 8 bytes,
 * ISCSICORE_STATUS_BUFFER_TOO_SMALL.
 */
iscsicore_status iscsicore_luns_decode(const uint8_t *bytes,
                                       size_t len,
                                       uint64_t *luns,
                                       size_t capacity,
                                       size_t *count);

/**
 * Reads the answer to GET LBA STATUS. `*count` is the number of entries, whether they fit or not.
 * Any thread.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for less than 8 bytes,
 * ISCSICORE_STATUS_BUFFER_TOO_SMALL.
 */
iscsicore_status iscsicore_lba_status_decode(const uint8_t *bytes,
                                             size_t len,
                                             iscsicore_lba_status *entries,
                                             size_t capacity,
                                             size_t *count);

/**
 * Reads the answer to PERSISTENT RESERVE IN (READ KEYS): the keys, and PRGENERATION. `*count` is
 * their number, whether they fit or not. Any thread.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for less than 8 bytes,
 * ISCSICORE_STATUS_BUFFER_TOO_SMALL.
 */
iscsicore_status iscsicore_pr_keys_decode(const uint8_t *bytes,
                                          size_t len,
                                          uint32_t *generation,
                                          uint64_t *keys,
                                          size_t capacity,
                                          size_t *count);

/**
 * Reads the answer to PERSISTENT RESERVE IN (READ RESERVATION). Any thread.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT when it is too short.
 */
iscsicore_status iscsicore_pr_reservation_decode(const uint8_t *bytes,
                                                 size_t len,
                                                 iscsicore_reservation *reservation);

/**
 * Reads sense data, fixed or descriptor format. Any thread.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT when the bytes end before the sense key, or have
 * another response code.
 */
iscsicore_status iscsicore_sense_decode(const uint8_t *bytes, size_t len, iscsicore_sense *sense);

/**
 * Writes sense data, in descriptor format unless `descriptor` is 0, else fixed, which leaves out
 * INFORMATION of more than 32 bits. `*len` is their length, whether they fit or not; 64 bytes are
 * always enough. Any thread.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for a sense key above 15 or a bit above 7,
 * ISCSICORE_STATUS_BUFFER_TOO_SMALL.
 */
iscsicore_status iscsicore_sense_encode(const iscsicore_sense *sense,
                                        int descriptor,
                                        uint8_t *buffer,
                                        size_t capacity,
                                        size_t *len);

/**
 * Writes sense data as people read them, "ILLEGAL REQUEST: INVALID FIELD IN CDB (5/24/00), byte 1
 * of the CDB", into `buffer`, and a NUL behind it. `*len` is the length without the NUL, whether it
 * fits or not; 512 bytes are always enough. Any thread.
 *
 * Errors: as iscsicore_sense_decode, and ISCSICORE_STATUS_BUFFER_TOO_SMALL.
 */
iscsicore_status iscsicore_sense_text(const uint8_t *bytes,
                                      size_t bytes_len,
                                      char *buffer,
                                      size_t capacity,
                                      size_t *len);

/**
 * Reads the answer to READ CAPACITY(10), or with `is_16` not 0 to READ CAPACITY(16). Any thread.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT when it is too short, or has blocks of no bytes.
 */
iscsicore_status iscsicore_capacity_decode(const uint8_t *bytes,
                                           size_t len,
                                           int is_16,
                                           iscsicore_capacity *capacity);

/**
 * Reads standard INQUIRY data. What they are too short for is 0 or empty. Any thread.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for less than 5 bytes.
 */
iscsicore_status iscsicore_inquiry_decode(const uint8_t *bytes,
                                          size_t len,
                                          iscsicore_inquiry *inquiry);

/**
 * Copies the codes in the Supported VPD Pages page (00h). `*len` is their number, whether they fit
 * or not. Any thread.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for another page, ISCSICORE_STATUS_BUFFER_TOO_SMALL.
 */
iscsicore_status iscsicore_vpd_pages_decode(const uint8_t *bytes,
                                            size_t bytes_len,
                                            uint8_t *pages,
                                            size_t capacity,
                                            size_t *len);

/**
 * Writes the serial number in the Unit Serial Number page (80h), without padding, into `buffer`,
 * and a NUL behind it. `*len` is the length without the NUL, whether it fits or not. Any thread.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for another page, ISCSICORE_STATUS_BUFFER_TOO_SMALL.
 */
iscsicore_status iscsicore_vpd_serial_decode(const uint8_t *bytes,
                                             size_t bytes_len,
                                             char *buffer,
                                             size_t capacity,
                                             size_t *len);

/**
 * Tells the name at `index`, from 0 on, in the Device Identification page (83h): what it names, and
 * the name as text, such as "naa.600140500000000000000001", in `buffer` with a NUL behind it.
 * `*len` is the length without the NUL, whether it fits or not; 640 bytes are always enough. Any
 * thread.
 *
 * Errors: ISCSICORE_STATUS_UNKNOWN when there are no more, ISCSICORE_STATUS_INVALID_ARGUMENT for
 * another page, ISCSICORE_STATUS_BUFFER_TOO_SMALL.
 */
iscsicore_status iscsicore_vpd_designator_decode(const uint8_t *bytes,
                                                 size_t bytes_len,
                                                 size_t index,
                                                 iscsicore_designator *designator,
                                                 char *buffer,
                                                 size_t capacity,
                                                 size_t *len);

/**
 * Reads the Block Limits page (B0h). What it is too short for is not told. Any thread.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for another page.
 */
iscsicore_status iscsicore_vpd_block_limits_decode(const uint8_t *bytes,
                                                   size_t len,
                                                   iscsicore_block_limits *limits);

/**
 * Reads the Block Device Characteristics page (B1h). Any thread.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for another page.
 */
iscsicore_status iscsicore_vpd_block_characteristics_decode(const uint8_t *bytes,
                                                            size_t len,
                                                            iscsicore_block_characteristics *characteristics);

/**
 * Reads the Logical Block Provisioning page (B2h). Any thread.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for another page.
 */
iscsicore_status iscsicore_vpd_provisioning_decode(const uint8_t *bytes,
                                                   size_t len,
                                                   iscsicore_provisioning *provisioning);

/**
 * Reads the Extended INQUIRY Data page (86h). Any thread.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for another page.
 */
iscsicore_status iscsicore_vpd_extended_inquiry_decode(const uint8_t *bytes,
                                                       size_t len,
                                                       iscsicore_extended_inquiry *inquiry);

/* ==============================================================================================
 * SCSI commands
 * ============================================================================================== */

/**
 * A SCSI command, to be submitted to a nexus as often as its maker likes. `lun` is everywhere the
 * 64 bits of the LUN field: iscsicore_lun makes them of a number. 0 is LUN 0; 1 is not LUN 1.
 *
 * The commands of the functions named after them are sent again after a passing condition, and
 * after the loss of the connection where doing them twice is as good as once. They have no time
 * limit, and what they receive is collected. All that can be set otherwise.
 *
 * Threads: any, one call at a time.
 */
typedef struct iscsicore_command iscsicore_command;

/**
 * What happens when the connection is lost and nobody knows whether the command was carried out.
 */
typedef enum iscsicore_repeat {
    /** It ends with ISCSICORE_OUTCOME_UNKNOWN. */
    ISCSICORE_REPEAT_NEVER = 0,
    /** It is sent again: doing it twice is as good as once. */
    ISCSICORE_REPEAT_SAFE = 1,
} iscsicore_repeat;

/**
 * What happens when a command was not carried out for a passing reason: UNIT ATTENTION, BUSY, TASK
 * SET FULL.
 */
typedef enum iscsicore_transient {
    /** The program gets the answer as it is. */
    ISCSICORE_TRANSIENT_DELIVER = 0,
    /**
     * It is sent again, after a growing pause where the target is busy; unit attentions are told as
     * events.
     */
    ISCSICORE_TRANSIENT_RETRY = 1,
} iscsicore_transient;

/** Which values of a mode page are asked for (PC). */
typedef enum iscsicore_page_control {
    /** Those in force. */
    ISCSICORE_PAGE_CONTROL_CURRENT = 0,
    /** A one in every bit that can be changed. */
    ISCSICORE_PAGE_CONTROL_CHANGEABLE = 1,
    /** Those that the unit starts with. */
    ISCSICORE_PAGE_CONTROL_DEFAULT = 2,
    /** Those that were saved. */
    ISCSICORE_PAGE_CONTROL_SAVED = 3,
} iscsicore_page_control;

/** What START STOP UNIT is to bring about. */
typedef enum iscsicore_start_stop {
    /** The unit does not take commands on its blocks; its caches are flushed first. */
    ISCSICORE_START_STOP_STOP = 0,
    /** It does. */
    ISCSICORE_START_STOP_START = 1,
    /** The medium is ejected. */
    ISCSICORE_START_STOP_EJECT = 2,
    /** The medium is loaded. */
    ISCSICORE_START_STOP_LOAD = 3,
} iscsicore_start_stop;

/** What a WRITE SAME may do with the storage of its blocks, as long as they read as asked for. */
typedef enum iscsicore_deallocate {
    /** Write it. */
    ISCSICORE_DEALLOCATE_NO = 0,
    /** UNMAP: give it back. */
    ISCSICORE_DEALLOCATE_ALLOWED = 1,
    /** UNMAP and ANCHOR: keep it set aside without anything in it. */
    ISCSICORE_DEALLOCATE_ANCHORED = 2,
} iscsicore_deallocate;

/** Logical blocks in a row. */
typedef struct iscsicore_blocks {
    /** The first. */
    uint64_t lba;
    /** How many. */
    uint32_t blocks;
    /** Not used; 0. */
    uint32_t reserved;
} iscsicore_blocks;

/** What PERSISTENT RESERVE IN asks for. */
typedef enum iscsicore_pr_in_action {
    /** READ KEYS. */
    ISCSICORE_PR_IN_ACTION_READ_KEYS = 0,
    /** READ RESERVATION. */
    ISCSICORE_PR_IN_ACTION_READ_RESERVATION = 1,
    /** REPORT CAPABILITIES. */
    ISCSICORE_PR_IN_ACTION_REPORT_CAPABILITIES = 2,
    /** READ FULL STATUS. */
    ISCSICORE_PR_IN_ACTION_READ_FULL_STATUS = 3,
} iscsicore_pr_in_action;

/** What PERSISTENT RESERVE OUT does. */
typedef enum iscsicore_pr_out_action {
    /**
     * REGISTER: registers with `new_key`, or takes the registration with `key` back when that is 0.
     */
    ISCSICORE_PR_OUT_ACTION_REGISTER = 0,
    /** RESERVE, with `type`. */
    ISCSICORE_PR_OUT_ACTION_RESERVE = 1,
    /** RELEASE, of `type`. */
    ISCSICORE_PR_OUT_ACTION_RELEASE = 2,
    /** CLEAR: takes the reservation and all registrations away. */
    ISCSICORE_PR_OUT_ACTION_CLEAR = 3,
    /**
     * PREEMPT: takes the registrations with `new_key` away, and the reservation if one of them
     * holds it.
     */
    ISCSICORE_PR_OUT_ACTION_PREEMPT = 4,
    /**
     * PREEMPT AND ABORT: the same, and aborts the commands of those that lost their registration.
     */
    ISCSICORE_PR_OUT_ACTION_PREEMPT_AND_ABORT = 5,
    /** REGISTER AND IGNORE EXISTING KEY: registers with `new_key`, whatever the key so far. */
    ISCSICORE_PR_OUT_ACTION_REGISTER_AND_IGNORE = 6,
    /**
     * REGISTER AND MOVE: registers another initiator port, the first of `initiators`, with
     * `new_key`, and gives it the reservation.
     */
    ISCSICORE_PR_OUT_ACTION_REGISTER_AND_MOVE = 7,
    /** REPLACE LOST RESERVATION: starts anew with `new_key` and `type`. */
    ISCSICORE_PR_OUT_ACTION_REPLACE_LOST = 8,
} iscsicore_pr_out_action;

/** Who may do what while a reservation is held (TYPE). */
typedef enum iscsicore_reservation_type {
    /** Only the holder writes. */
    ISCSICORE_RESERVATION_TYPE_WRITE_EXCLUSIVE = 1,
    /** Only the holder reads and writes. */
    ISCSICORE_RESERVATION_TYPE_EXCLUSIVE_ACCESS = 3,
    /** Only registered nexuses write. */
    ISCSICORE_RESERVATION_TYPE_WRITE_EXCLUSIVE_REGISTRANTS_ONLY = 5,
    /** Only registered nexuses read and write. */
    ISCSICORE_RESERVATION_TYPE_EXCLUSIVE_ACCESS_REGISTRANTS_ONLY = 6,
    /** Only registered nexuses write, and each of them holds the reservation. */
    ISCSICORE_RESERVATION_TYPE_WRITE_EXCLUSIVE_ALL_REGISTRANTS = 7,
    /** Only registered nexuses read and write, and each of them holds the reservation. */
    ISCSICORE_RESERVATION_TYPE_EXCLUSIVE_ACCESS_ALL_REGISTRANTS = 8,
} iscsicore_reservation_type;

/** The name of an iSCSI initiator port. */
typedef struct iscsicore_initiator_port {
    /** The iSCSI name. */
    const char *name;
    /** The ISID, twelve hexadecimal digits; NULL for every port of that name. */
    const char *isid;
} iscsicore_initiator_port;

/**
 * A PERSISTENT RESERVE OUT. Set `size` to sizeof(iscsicore_pr_out); fields that the action does not
 * use stay 0.
 */
typedef struct iscsicore_pr_out {
    /** sizeof(iscsicore_pr_out). */
    size_t size;
    /** RESERVATION KEY: the one that the sending nexus is registered with. */
    uint64_t key;
    /** SERVICE ACTION RESERVATION KEY. */
    uint64_t new_key;
    /** An iscsicore_pr_out_action. */
    int action;
    /** An iscsicore_reservation_type. */
    int reservation_type;
    /** APTPL: whether registrations and reservation outlast a loss of power. */
    int aptpl;
    /** ALL_TG_PT: whether a registration is for every target port of the unit. */
    int all_target_ports;
    /** UNREG: whether REGISTER AND MOVE ends the registration of the sender. */
    int unregister;
    /** RELATIVE TARGET PORT IDENTIFIER for REGISTER AND MOVE. */
    uint16_t target_port;
    /** Not used; 0. */
    uint16_t reserved;
    /**
     * SPEC_I_PT: initiator ports that REGISTER registers as well; of REGISTER AND MOVE the one
     * other port.
     */
    const iscsicore_initiator_port *initiators;
    /** How many. */
    size_t initiator_count;
} iscsicore_pr_out;

/**
 * Makes any command: `cdb_len` bytes of CDB, up to 260, that may receive `data_in` bytes and sends
 * `data_out`, which may be NULL. It is not repeated, and its answer is delivered as it is.
 *
 * Ownership: the command is the caller's, until iscsicore_command_free. Payload that is lent is
 * given back when the command was freed and all its submissions have ended.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for a CDB of no or more bytes.
 */
iscsicore_status iscsicore_command_new(uint64_t lun,
                                       const uint8_t *cdb,
                                       size_t cdb_len,
                                       uint32_t data_in,
                                       const iscsicore_payload *data_out,
                                       iscsicore_command **command);

/** Ends a command; submissions of it go on. NULL is taken. */
iscsicore_status iscsicore_command_free(iscsicore_command *command);

/**
 * Has received payload put into `buffer`, without a copy where that is possible, in place of
 * collecting it. `buffer` NULL has it collected again. What the program reads into it,
 * iscsicore_nexus_want says.
 *
 * From each submission of the command on, until its end was taken, the buffer must stay where it
 * is, untouched. How many bytes of it hold payload, `received` of the end says.
 *
 * Errors of iscsicore_nexus_submit: a buffer of less than what iscsicore_command_data_in tells.
 */
iscsicore_status iscsicore_command_set_buffer(iscsicore_command *command, void *buffer, size_t len);

/**
 * Gives it a pointer of the program's, which comes back as `context` of the end of every submission
 * from now on. The library does nothing with it.
 */
iscsicore_status iscsicore_command_set_context(iscsicore_command *command, void *context);

/**
 * Gives it `nanos` nanoseconds from its submission to its end; 0 or ISCSICORE_NEVER waits for as
 * long as it takes.
 */
iscsicore_status iscsicore_command_set_timeout(iscsicore_command *command, uint64_t nanos);

/**
 * Sets the task attribute, an iscsicore_task_attribute. Simple without this.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for another number.
 */
iscsicore_status iscsicore_command_set_attribute(iscsicore_command *command, int attribute);

/**
 * Sets the task priority, 1 to 15, the most urgent first; 0 says none. It is sent where
 * iSCSIProtocolLevel 2 was agreed on (RFC 7144 section 5.1.1).
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for another number.
 */
iscsicore_status iscsicore_command_set_priority(iscsicore_command *command, int priority);

/**
 * Sets whether the command may be sent again after the loss of the connection, an iscsicore_repeat.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for another number.
 */
iscsicore_status iscsicore_command_set_repeat(iscsicore_command *command, int repeat);

/**
 * Sets what happens when the target answers "not now", an iscsicore_transient.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for another number.
 */
iscsicore_status iscsicore_command_set_transient(iscsicore_command *command, int transient);

/**
 * Sets or clears FUA (force unit access: the blocks are on the medium, or come from it, before the
 * command ends) and DPO (the blocks will not be needed again soon) of a READ, WRITE or COMPARE AND
 * WRITE.
 *
 * Errors: ISCSICORE_STATUS_WRONG_STATE for other commands.
 */
iscsicore_status iscsicore_command_set_access(iscsicore_command *command, int fua, int dpo);

/**
 * Has room for an answer of `len` bytes, or of as many as its field can say, in a command that asks
 * how something is: for an answer that told to be longer than what was asked for at first. Commands
 * without an ALLOCATION LENGTH stay as they are.
 */
iscsicore_status iscsicore_command_make_room(iscsicore_command *command, uint32_t len);

/**
 * Tells how many bytes the whole answer has, as its first `answer_len` bytes say; 0 when they do
 * not.
 */
iscsicore_status iscsicore_command_stated_len(const iscsicore_command *command,
                                              const uint8_t *answer,
                                              size_t answer_len,
                                              uint32_t *len);

/**
 * Copies the CDB: as many bytes as its operation code says, 16 where it does not. `*len` is their
 * number, whether they fit or not; 260 bytes are always enough.
 *
 * Errors: ISCSICORE_STATUS_BUFFER_TOO_SMALL.
 */
iscsicore_status iscsicore_command_cdb(const iscsicore_command *command,
                                       uint8_t *buffer,
                                       size_t capacity,
                                       size_t *len);

/** Tells the most bytes that the command may receive: what its buffer has to have room for. */
iscsicore_status iscsicore_command_data_in(const iscsicore_command *command, uint32_t *len);

/** Tells how many bytes the command sends. */
iscsicore_status iscsicore_command_data_out(const iscsicore_command *command, size_t *len);

/**
 * READ(10), or READ(16) where that is too small, of `blocks` blocks of `block_size` bytes from
 * `lba` on.
 *
 * Ownership: the caller's, until iscsicore_command_free.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for no blocks, or more than 2^32 - 1 bytes.
 */
iscsicore_status iscsicore_command_read(uint64_t lun,
                                        uint64_t lba,
                                        uint32_t blocks,
                                        uint32_t block_size,
                                        iscsicore_command **command);

/**
 * WRITE(10), or WRITE(16) where that is too small, of `data`, which are whole blocks of
 * `block_size` bytes, from `lba` on.
 *
 * Ownership: the caller's, until iscsicore_command_free; lent data are given back when the command
 * was freed and all its submissions have ended.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT when `data` are not one or more whole blocks.
 */
iscsicore_status iscsicore_command_write(uint64_t lun,
                                         uint64_t lba,
                                         const iscsicore_payload *data,
                                         uint32_t block_size,
                                         iscsicore_command **command);

/**
 * SYNCHRONIZE CACHE(10) of the whole unit: writes that were answered are on the medium when it ends
 * with GOOD. See also `coverage` of iscsicore_completed_event.
 */
iscsicore_status iscsicore_command_flush(uint64_t lun, iscsicore_command **command);

/**
 * SYNCHRONIZE CACHE(10), or (16) where that is too small, of `blocks` blocks from `lba` on; 0 for
 * all up to the end.
 */
iscsicore_status iscsicore_command_flush_range(uint64_t lun,
                                               uint64_t lba,
                                               uint32_t blocks,
                                               iscsicore_command **command);

/**
 * VERIFY(10), or (16) where that is too small: the unit is to see whether it can read the blocks.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for no blocks.
 */
iscsicore_status iscsicore_command_verify(uint64_t lun,
                                          uint64_t lba,
                                          uint32_t blocks,
                                          iscsicore_command **command);

/**
 * VERIFY with BYTCHK 01b: the unit compares its blocks with `data`, and answers MISCOMPARE when
 * they differ.
 *
 * Ownership and errors: as iscsicore_command_write.
 */
iscsicore_status iscsicore_command_verify_data(uint64_t lun,
                                               uint64_t lba,
                                               const iscsicore_payload *data,
                                               uint32_t block_size,
                                               iscsicore_command **command);

/**
 * COMPARE AND WRITE: when the `blocks` blocks at `lba` are the first half of `data`, the second
 * half takes their place, in one step; else the unit answers MISCOMPARE. Its outcome is unknown
 * when the connection is lost.
 *
 * Ownership: as iscsicore_command_write.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT when `data` are not two halves of that many blocks.
 */
iscsicore_status iscsicore_command_compare_and_write(uint64_t lun,
                                                     uint64_t lba,
                                                     const iscsicore_payload *data,
                                                     uint8_t blocks,
                                                     iscsicore_command **command);

/**
 * TEST UNIT READY.
 *
 * Ownership: the caller's, until iscsicore_command_free; so for all functions of this name.
 */
iscsicore_status iscsicore_command_test_unit_ready(uint64_t lun, iscsicore_command **command);

/** INQUIRY for the standard data: iscsicore_inquiry_decode reads the answer. */
iscsicore_status iscsicore_command_inquiry(uint64_t lun, iscsicore_command **command);

/** INQUIRY for the vital product data page `page`. */
iscsicore_status iscsicore_command_vpd(uint64_t lun, uint8_t page, iscsicore_command **command);

/** READ CAPACITY(10): iscsicore_capacity_decode reads the answer. */
iscsicore_status iscsicore_command_read_capacity_10(uint64_t lun, iscsicore_command **command);

/** READ CAPACITY(16): iscsicore_capacity_decode reads the answer. */
iscsicore_status iscsicore_command_read_capacity_16(uint64_t lun, iscsicore_command **command);

/**
 * REPORT LUNS of all but the well known logical units, with room for a thousand;
 * iscsicore_command_make_room makes more. Any LUN answers; LUN 0 always does. iscsicore_luns_decode
 * reads the answer.
 */
iscsicore_status iscsicore_command_report_luns(uint64_t lun, iscsicore_command **command);

/**
 * REQUEST SENSE: a unit attention that waits, or what keeps the unit from being ready; in
 * descriptor format unless `descriptor` is 0. iscsicore_sense_decode reads the answer.
 */
iscsicore_status iscsicore_command_request_sense(uint64_t lun,
                                                 int descriptor,
                                                 iscsicore_command **command);

/** REPORT SUPPORTED OPERATION CODES for all commands. */
iscsicore_status iscsicore_command_report_supported_opcodes(uint64_t lun,
                                                            iscsicore_command **command);

/**
 * REPORT SUPPORTED OPERATION CODES for one command, with its service action; -1 for one that has
 * none.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for a service action above 65535.
 */
iscsicore_status iscsicore_command_report_opcode_support(uint64_t lun,
                                                         uint8_t opcode,
                                                         int32_t service_action,
                                                         iscsicore_command **command);

/**
 * MODE SENSE(6) of a mode page; `control` is an iscsicore_page_control.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for another number.
 */
iscsicore_status iscsicore_command_mode_sense_6(uint64_t lun,
                                                uint8_t page,
                                                uint8_t subpage,
                                                int control,
                                                iscsicore_command **command);

/** MODE SENSE(10), else as iscsicore_command_mode_sense_6. */
iscsicore_status iscsicore_command_mode_sense_10(uint64_t lun,
                                                 uint8_t page,
                                                 uint8_t subpage,
                                                 int control,
                                                 iscsicore_command **command);

/**
 * MODE SELECT(6) of one page, header included, as MODE SENSE returned it and the caller changed it.
 * It is copied. Unless `save` is 0 the values are kept for the time after the unit was off.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT when `page` is not a whole page, or too long for this
 * command.
 */
iscsicore_status iscsicore_command_mode_select_6(uint64_t lun,
                                                 const uint8_t *page,
                                                 size_t page_len,
                                                 int save,
                                                 iscsicore_command **command);

/** MODE SELECT(10), else as iscsicore_command_mode_select_6. */
iscsicore_status iscsicore_command_mode_select_10(uint64_t lun,
                                                  const uint8_t *page,
                                                  size_t page_len,
                                                  int save,
                                                  iscsicore_command **command);

/**
 * START STOP UNIT; the answer comes when it is done. `to` is an iscsicore_start_stop.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for another number.
 */
iscsicore_status iscsicore_command_start_stop(uint64_t lun, int to, iscsicore_command **command);

/**
 * UNMAP: the unit may give the storage of `count` ranges back.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for no ranges, and for more than 4095.
 */
iscsicore_status iscsicore_command_unmap(uint64_t lun,
                                         const iscsicore_blocks *ranges,
                                         size_t count,
                                         iscsicore_command **command);

/**
 * WRITE SAME(10) or (16): every one of the `blocks` blocks from `lba` on becomes `block`, the bytes
 * of one block. `deallocate` is an iscsicore_deallocate.
 *
 * Ownership: as iscsicore_command_write.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for no blocks, a block of no bytes, or another number.
 */
iscsicore_status iscsicore_command_write_same(uint64_t lun,
                                              uint64_t lba,
                                              uint32_t blocks,
                                              const iscsicore_payload *block,
                                              int deallocate,
                                              iscsicore_command **command);

/**
 * WRITE SAME(16) with NDOB: zeros without sending any. Units of older standards refuse it;
 * iscsicore_command_write_same with a block of zeros does the same. `deallocate` is an
 * iscsicore_deallocate.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for no blocks, or another number.
 */
iscsicore_status iscsicore_command_write_zeroes(uint64_t lun,
                                                uint64_t lba,
                                                uint32_t blocks,
                                                int deallocate,
                                                iscsicore_command **command);

/**
 * GET LBA STATUS: which blocks from `lba` on have storage. `allocation_len` bytes have room for 8
 * and 16 for every run. iscsicore_lba_status_decode reads the answer; it need not go up to the last
 * block.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for less than 24 bytes.
 */
iscsicore_status iscsicore_command_get_lba_status(uint64_t lun,
                                                  uint64_t lba,
                                                  uint32_t allocation_len,
                                                  iscsicore_command **command);

/**
 * PERSISTENT RESERVE IN; `action` is an iscsicore_pr_in_action.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for another number.
 */
iscsicore_status iscsicore_command_pr_in(uint64_t lun, int action, iscsicore_command **command);

/**
 * PERSISTENT RESERVE OUT. `what` is copied. Its outcome is unknown when the connection is lost:
 * ISCSICORE_PR_IN_ACTION_READ_FULL_STATUS tells what came of it.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for an action or type that is none, names that are too
 * long, or initiator ports where the action takes none; ISCSICORE_STATUS_INVALID_SIZE.
 */
iscsicore_status iscsicore_command_pr_out(uint64_t lun,
                                          const iscsicore_pr_out *what,
                                          iscsicore_command **command);

/** RESERVE(6) of SPC-2: the unit is for this nexus alone, until it releases it or is lost. */
iscsicore_status iscsicore_command_reserve_6(uint64_t lun, iscsicore_command **command);

/** RELEASE(6) of SPC-2. */
iscsicore_status iscsicore_command_release_6(uint64_t lun, iscsicore_command **command);

/* ==============================================================================================
 * An initiator: a session that logs in, and does so again when its connection breaks
 * ============================================================================================== */

/**
 * The initiator's half of everything between a program and one target: it asks for connections,
 * logs in on them, follows redirects, and when a connection is lost dials and logs in again;
 * commands that had no answer are sent again where that is safe. There is no I/O in it.
 *
 * The contract: after any call, take iscsicore_nexus_next_event until it gives NULL, call
 * iscsicore_nexus_transmit, and set a timer for iscsicore_nexus_timeout. The order does not matter,
 * and too often is harmless. That a transmitter was emptied counts as a call: transmit and receive
 * once more. Never wait for the socket or the time while an event has not been taken: also
 * transmit, receive, advance and lost may bring some.
 *
 * Every command ends with one ISCSICORE_NEXUS_EVENT_KIND_COMPLETED, unless it is cancelled.
 * Commands that are outstanding together have no order.
 *
 * Threads: any, one call at a time.
 */
typedef struct iscsicore_nexus iscsicore_nexus;

/** How a connection was lost. */
typedef enum iscsicore_loss {
    /** The target closed it. */
    ISCSICORE_LOSS_CLOSED = 0,
    /** Reading or writing failed. */
    ISCSICORE_LOSS_FAILED = 1,
} iscsicore_loss;

/** What an event is about. */
typedef enum iscsicore_nexus_event_kind {
    /**
     * `dial`: open a transport, then call iscsicore_nexus_connected or iscsicore_nexus_dial_failed.
     */
    ISCSICORE_NEXUS_EVENT_KIND_DIAL = 1,
    /**
     * Close the transport, or stop dialing, and free the receiver and the transmitter of the
     * connection. Nothing that still waits in them matters, and nothing is to be told back: neither
     * that it was lost, nor the answer of a dial that was stopped.
     */
    ISCSICORE_NEXUS_EVENT_KIND_HANG_UP = 2,
    /** `up`: logged in. */
    ISCSICORE_NEXUS_EVENT_KIND_UP = 3,
    /**
     * `down`: the connection is gone. Commands that may not be repeated have ended; the others
     * wait.
     */
    ISCSICORE_NEXUS_EVENT_KIND_DOWN = 4,
    /** `attempt_failed`: an attempt to get a connection has failed; another one follows. */
    ISCSICORE_NEXUS_EVENT_KIND_ATTEMPT_FAILED = 5,
    /**
     * `redirected`: the target sent this end elsewhere during the login; the attempt goes on there.
     */
    ISCSICORE_NEXUS_EVENT_KIND_REDIRECTED = 6,
    /** `completed`: a command has ended. Its buffer is the program's again. */
    ISCSICORE_NEXUS_EVENT_KIND_COMPLETED = 7,
    /** `task_management_done`: a task management function was answered, or will not be. */
    ISCSICORE_NEXUS_EVENT_KIND_TASK_MANAGEMENT_DONE = 8,
    /** `targets`: the answer to iscsicore_nexus_send_targets. */
    ISCSICORE_NEXUS_EVENT_KIND_TARGETS = 9,
    /** `pong`: the answer to iscsicore_nexus_ping. */
    ISCSICORE_NEXUS_EVENT_KIND_PONG = 10,
    /**
     * iscsicore_nexus_submit has answered ISCSICORE_STATUS_QUEUE_FULL, and would take a command
     * now.
     */
    ISCSICORE_NEXUS_EVENT_KIND_ROOM_AGAIN = 11,
    /**
     * `unit_attention`: a unit attention condition was told, and the command that met it was sent
     * again.
     */
    ISCSICORE_NEXUS_EVENT_KIND_UNIT_ATTENTION = 12,
    /**
     * `async_message`: the target sent an Asynchronous Message; what it means for the session has
     * been acted on.
     */
    ISCSICORE_NEXUS_EVENT_KIND_ASYNC_MESSAGE = 13,
    /** `rejected`: the target rejected a PDU that belongs to no command. */
    ISCSICORE_NEXUS_EVENT_KIND_REJECTED = 14,
    /** `ended`: the nexus is over; every command has ended before. Nothing follows. */
    ISCSICORE_NEXUS_EVENT_KIND_ENDED = 15,
} iscsicore_nexus_event_kind;

/**
 * Open a transport to `address`. It never comes while another transport or dial is in use:
 * ISCSICORE_NEXUS_EVENT_KIND_HANG_UP stands before it.
 */
typedef struct iscsicore_dial_event {
    /**
     * "host:port", as configured, or where a redirect leads. To find the addresses of a host, and
     * to try them, is the program's part.
     */
    const char *address;
    /** 1 for the first attempt after the nexus was up, or began. Redirects do not count. */
    uint32_t attempt;
} iscsicore_dial_event;

/** Logged in. */
typedef struct iscsicore_up_event {
    /** Where to, in the end. */
    const char *address;
    /** Whether it is not the first time. */
    bool again;
} iscsicore_up_event;

/** Why a connection that was up is gone. */
typedef enum iscsicore_down_reason {
    /** iscsicore_nexus_lost said so. */
    ISCSICORE_DOWN_REASON_LOST = 1,
    /** The target broke the protocol. */
    ISCSICORE_DOWN_REASON_PEER = 2,
    /** The target has said nothing for longer than the limits allow. */
    ISCSICORE_DOWN_REASON_SILENT = 3,
    /** A task management function, a text request or a logout was not answered in time. */
    ISCSICORE_DOWN_REASON_UNRESPONSIVE = 4,
    /** The target dropped the session or the connection, or asked for a logout. */
    ISCSICORE_DOWN_REASON_ASKED_BY_TARGET = 5,
    /** It was logged out. */
    ISCSICORE_DOWN_REASON_LOGGED_OUT = 6,
    /** The program wanted it. */
    ISCSICORE_DOWN_REASON_WANTED = 7,
    /** Another reason, which this version of the library has no name for. */
    ISCSICORE_DOWN_REASON_OTHER = 8,
} iscsicore_down_reason;

/** The connection is gone. */
typedef struct iscsicore_down_event {
    /** Why. */
    iscsicore_down_reason reason;
    /** Why, in words. */
    const char *text;
    /** When it dials again; ISCSICORE_NEVER when it does not. */
    uint64_t retry_at;
} iscsicore_down_event;

/** An attempt to get a connection has failed. */
typedef struct iscsicore_attempt_failed_event {
    /** Why, in words, and what to do about it. */
    const char *text;
    /** When it dials again, unless it gives up before. */
    uint64_t retry_at;
    /**
     * Status-Class and Status-Detail of the Login Response (RFC 7143 section 11.13.5) when the
     * target refused the login; else 0.
     */
    uint16_t login_status;
} iscsicore_attempt_failed_event;

/** The target sent this end elsewhere. */
typedef struct iscsicore_redirected_event {
    /** Where to, "host:port". */
    const char *address;
    /** The name of another target there; NULL for the same one. */
    const char *target;
    /** Whether it is for good. */
    bool permanent;
} iscsicore_redirected_event;

/** Why a command or a request has no answer. */
typedef enum iscsicore_cause {
    /** It has one, or was aborted. */
    ISCSICORE_CAUSE_NONE = 0,
    /** The connection was lost. */
    ISCSICORE_CAUSE_CONNECTION_LOST = 1,
    /** Its time was over. */
    ISCSICORE_CAUSE_TIMED_OUT = 2,
    /** The target answered with a Reject PDU; `detail` is the reason (RFC 7143 section 11.17.1). */
    ISCSICORE_CAUSE_REJECTED = 3,
    /**
     * The target could not carry it out at the iSCSI level; `detail` is the response code (RFC 7143
     * section 11.4.3).
     */
    ISCSICORE_CAUSE_TARGET_FAILURE = 4,
    /** The target refuses it in words of the protocol. */
    ISCSICORE_CAUSE_REFUSED = 5,
    /** The answer to it broke the protocol. */
    ISCSICORE_CAUSE_BAD_ANSWER = 6,
    /** The program aborted it. */
    ISCSICORE_CAUSE_WANTED = 7,
    /** The session has ended. */
    ISCSICORE_CAUSE_SESSION_ENDED = 8,
    /** Another one, which this version of the library has no name for. */
    ISCSICORE_CAUSE_OTHER = 9,
} iscsicore_cause;

/** The end of a task management function. */
typedef struct iscsicore_task_management_done_event {
    /** The request: what iscsicore_nexus_task_management gave. */
    uint64_t request;
    /** Why there is no answer; ISCSICORE_CAUSE_NONE when there is one. */
    iscsicore_cause cause;
    /** What goes with the cause, or 0. */
    uint8_t detail;
    /**
     * What the target says, if it does: an iscsicore_task_management_result, or a code that no RFC
     * defines.
     */
    uint8_t result;
} iscsicore_task_management_done_event;

/** The answer to iscsicore_nexus_send_targets. */
typedef struct iscsicore_targets_event {
    /** The request. */
    uint64_t request;
    /** Why there is no answer; ISCSICORE_CAUSE_NONE when there is one. */
    iscsicore_cause cause;
    /** What goes with the cause, or 0. */
    uint8_t detail;
    /** The targets: `target_count` of them. */
    const iscsicore_target_record *targets;
    /** How many. */
    size_t target_count;
} iscsicore_targets_event;

/** The answer to iscsicore_nexus_ping. */
typedef struct iscsicore_pong_event {
    /** The request. */
    uint64_t request;
    /** Why there is no answer; ISCSICORE_CAUSE_NONE when there is one. */
    iscsicore_cause cause;
    /** What goes with the cause, or 0. */
    uint8_t detail;
    /** The payload as it came back: `data_len` bytes. */
    const uint8_t *data;
    /** How many. */
    size_t data_len;
} iscsicore_pong_event;

/** A unit attention condition. */
typedef struct iscsicore_unit_attention_event {
    /** The logical unit. */
    uint64_t lun;
    /** Sense data, as sent: `sense_len` bytes. */
    const uint8_t *sense;
    /** How many. */
    size_t sense_len;
} iscsicore_unit_attention_event;

/** An Asynchronous Message (RFC 7143 section 11.9). */
typedef struct iscsicore_async_message_event {
    /** The logical unit, where the event is about one. */
    uint64_t lun;
    /** AsyncEvent: its code. */
    uint8_t event;
    /** AsyncVCode. */
    uint8_t vendor_code;
    /** Parameter1. */
    uint16_t parameter1;
    /** Parameter2. */
    uint16_t parameter2;
    /** Parameter3. */
    uint16_t parameter3;
    /**
     * The data segment: `data_len` bytes. Of a SCSI event, sense data after two bytes of their
     * length.
     */
    const uint8_t *data;
    /** How many. */
    size_t data_len;
} iscsicore_async_message_event;

/** A PDU that the target rejected. */
typedef struct iscsicore_rejected_event {
    /** Why: the code of RFC 7143 section 11.17.1. */
    uint8_t reason;
    /** Why, in words. */
    const char *text;
    /** The 48 bytes of the header of what it rejected; NULL when it did not send them back. */
    const uint8_t *header;
} iscsicore_rejected_event;

/** Why a nexus is over. */
typedef enum iscsicore_nexus_end_reason {
    /** It was logged out: the target has answered. */
    ISCSICORE_NEXUS_END_REASON_LOGGED_OUT = 1,
    /** No connection could be had: `text` is the last failure. */
    ISCSICORE_NEXUS_END_REASON_FAILED = 2,
    /** The connection was lost, and is not to be dialed again. */
    ISCSICORE_NEXUS_END_REASON_LOST = 3,
    /** iscsicore_nexus_end was called, or iscsicore_nexus_logout without a connection. */
    ISCSICORE_NEXUS_END_REASON_WANTED = 4,
    /** Another reason, which this version of the library has no name for. */
    ISCSICORE_NEXUS_END_REASON_OTHER = 5,
} iscsicore_nexus_end_reason;

/** The nexus is over. */
typedef struct iscsicore_ended_event {
    /** Why. */
    iscsicore_nexus_end_reason reason;
    /**
     * Status-Class and Status-Detail of the Login Response (RFC 7143 section 11.13.5) when the
     * target refused the login; else 0.
     */
    uint16_t login_status;
    /** Why, in words. */
    const char *text;
} iscsicore_ended_event;

/**
 * What a SYNCHRONIZE CACHE that ended with GOOD says about writes that were acknowledged before it.
 */
typedef enum iscsicore_flush_coverage {
    /** All of them are on stable storage. */
    ISCSICORE_FLUSH_COVERAGE_ALL = 0,
    /**
     * The session was interrupted between some of them and this flush: those are on stable storage
     * only if the target kept its cache meanwhile. Write them again, or read them back, to be sure.
     */
    ISCSICORE_FLUSH_COVERAGE_ONLY_SINCE_RECONNECT = 1,
} iscsicore_flush_coverage;

/** How a command ended. */
typedef enum iscsicore_outcome {
    /** The target answered: `status` and what follows it say what. */
    ISCSICORE_OUTCOME_ANSWERED = 1,
    /** It was never sent, or the target refused it unread: it was certainly not carried out. */
    ISCSICORE_OUTCOME_NOT_SENT = 2,
    /** It was sent, and nobody knows whether it was carried out, wholly or in part. */
    ISCSICORE_OUTCOME_UNKNOWN = 3,
    /**
     * It was aborted, by iscsicore_nexus_abort or a task management function; it may have been
     * carried out in part.
     */
    ISCSICORE_OUTCOME_ABORTED = 4,
} iscsicore_outcome;

/** The end of a command. */
typedef struct iscsicore_completed_event {
    /** The command: what iscsicore_nexus_submit gave. It names nothing any more. */
    uint64_t task;
    /** What iscsicore_command_set_context gave the command; else NULL. */
    void *context;
    /** How it ended. */
    iscsicore_outcome outcome;
    /** Why it has no answer. */
    iscsicore_cause cause;
    /** What goes with the cause, or 0. */
    uint8_t detail;
    /**
     * The SCSI status, when answered; 0 is GOOD, 2 is CHECK CONDITION (iscsicore_scsi_status_text
     * has the names).
     */
    uint8_t status;
    /** The status qualifier (RFC 7144 section 5.2.1); 0 when there is none. */
    uint16_t status_qualifier;
    /** Of a flush with status GOOD: which writes it covers. */
    iscsicore_flush_coverage coverage;
    /** Bytes of payload received, wherever they are. */
    uint32_t received;
    /** Sense data, as sent: iscsicore_sense_decode reads them. NULL when there are none. */
    const uint8_t *sense;
    /** How many bytes. */
    size_t sense_len;
    /** Payload received by a command without a buffer: `data_count` slices. */
    const iscsicore_iovec *data;
    /** How many. */
    size_t data_count;
    /** How many bytes they have: `received`, or 0 for a command with a buffer. */
    size_t data_len;
    /**
     * How many bytes less than expected the target moved (below 0), or more it would have (above
     * 0); of a command that sends and receives, about what it sends.
     */
    int64_t residual;
    /** The same about what a command that sends and receives receives. */
    int64_t read_residual;
} iscsicore_completed_event;

/** What an event says; its kind says which of them it is. */
typedef union iscsicore_nexus_event_body {
    /** Of ISCSICORE_NEXUS_EVENT_KIND_DIAL. */
    iscsicore_dial_event dial;
    /** Of ISCSICORE_NEXUS_EVENT_KIND_UP. */
    iscsicore_up_event up;
    /** Of ISCSICORE_NEXUS_EVENT_KIND_DOWN. */
    iscsicore_down_event down;
    /** Of ISCSICORE_NEXUS_EVENT_KIND_ATTEMPT_FAILED. */
    iscsicore_attempt_failed_event attempt_failed;
    /** Of ISCSICORE_NEXUS_EVENT_KIND_REDIRECTED. */
    iscsicore_redirected_event redirected;
    /** Of ISCSICORE_NEXUS_EVENT_KIND_COMPLETED. */
    iscsicore_completed_event completed;
    /** Of ISCSICORE_NEXUS_EVENT_KIND_TASK_MANAGEMENT_DONE. */
    iscsicore_task_management_done_event task_management_done;
    /** Of ISCSICORE_NEXUS_EVENT_KIND_TARGETS. */
    iscsicore_targets_event targets;
    /** Of ISCSICORE_NEXUS_EVENT_KIND_PONG. */
    iscsicore_pong_event pong;
    /** Of ISCSICORE_NEXUS_EVENT_KIND_UNIT_ATTENTION. */
    iscsicore_unit_attention_event unit_attention;
    /** Of ISCSICORE_NEXUS_EVENT_KIND_ASYNC_MESSAGE. */
    iscsicore_async_message_event async_message;
    /** Of ISCSICORE_NEXUS_EVENT_KIND_REJECTED. */
    iscsicore_rejected_event rejected;
    /** Of ISCSICORE_NEXUS_EVENT_KIND_ENDED. */
    iscsicore_ended_event ended;
} iscsicore_nexus_event_body;

/**
 * What a nexus tells: `kind`, and what goes with it in `u`. It is the library's, with all that its
 * pointers name, and lives until the next call of the function that gave it on the same handle.
 */
typedef struct iscsicore_nexus_event {
    /** What it is about. */
    iscsicore_nexus_event_kind kind;
    /** What it says. */
    iscsicore_nexus_event_body u;
} iscsicore_nexus_event;

/**
 * Who logs in, where to, and on what terms. Set `size` to sizeof(iscsicore_initiator_options);
 * every other field that is 0 or NULL has its default. Everything is copied. Times are in
 * nanoseconds.
 *
 * When the connection is lost it is dialed again: at once, then after pauses that double from
 * `first_pause` to `longest_pause`, of which a random part is left out.
 */
typedef struct iscsicore_initiator_options {
    /** sizeof(iscsicore_initiator_options). */
    size_t size;
    /**
     * Where the target is, "host:port"; it comes back as it is with
     * ISCSICORE_NEXUS_EVENT_KIND_DIAL, and is not looked at otherwise. Required.
     */
    const char *address;
    /** InitiatorName: an iSCSI name, "iqn.2001-04.com.example:me". Required. */
    const char *initiator;
    /** InitiatorAlias; NULL for none. */
    const char *initiator_alias;
    /** TargetName; NULL makes a discovery session. */
    const char *target;
    /** The CHAP name of this end; NULL for no authentication. */
    const char *user;
    /**
     * The CHAP secret of this end: `secret_len` bytes. Less than 12 bytes are weak (RFC 7143
     * section 9.2.1).
     */
    const uint8_t *secret;
    /** How many. */
    size_t secret_len;
    /** The CHAP name that the target must prove; NULL when it need not. */
    const char *target_user;
    /**
     * The CHAP secret that the target must prove: `target_secret_len` bytes, others than those of
     * `secret`.
     */
    const uint8_t *target_secret;
    /** How many. */
    size_t target_secret_len;
    /**
     * The CHAP algorithms offered, the preferred one first: `chap_algorithm_count` values of
     * iscsicore_chap_algorithm. None: all. RFC 7143 section 12.1.3 wants MD5 among them.
     */
    const int *chap_algorithms;
    /** How many. */
    size_t chap_algorithm_count;
    /** What this end wants for the operational keys; NULL for the defaults. */
    const iscsicore_offer *offer;
    /**
     * Bounds; NULL for the defaults. The receivers of the connections are made with the same ones.
     */
    const iscsicore_limits *limits;
    /** The first pause. Default: 100 ms. */
    uint64_t first_pause;
    /** The longest pause. Default: 10 s. */
    uint64_t longest_pause;
    /** Time for one attempt, from the dial to the end of the login. Default: 15 s. */
    uint64_t attempt_timeout;
    /** Time without a connection after which the nexus ends. Default: ISCSICORE_NEVER. */
    uint64_t give_up_after;
    /**
     * An iscsicore_choice: whether a target that wants no authentication is taken although there is
     * a `user`. Default: no. Never when the target must prove itself.
     */
    int allow_none;
    /** An iscsicore_choice: whether to dial again when a connection is lost. Default: yes. */
    int reconnect;
    /**
     * An iscsicore_choice: whether the very first connection is tried again, too, when it fails for
     * a reason that may pass. Default: no.
     */
    int persist_at_first;
    /**
     * An iscsicore_choice: whether "target not found" may pass once the nexus has been up. Default:
     * yes.
     */
    int wait_for_missing_target;
    /**
     * ISID, the initiator's part of the session's name: the same one again takes the place of the
     * old session. All zero: made of the seed (type "random").
     */
    uint8_t isid[6];
    /** Not used; 0. */
    uint16_t reserved;
} iscsicore_initiator_options;

/**
 * Begins. The first event asks to dial. `seed` are 32 bytes of the system's random generator, of no
 * other use.
 *
 * Ownership: the caller's, until iscsicore_nexus_free. `options` are copied.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for a name, an alias, secrets, an offer or a limit that
 * cannot be, ISCSICORE_STATUS_INVALID_SIZE for the size of `options`.
 */
iscsicore_status iscsicore_nexus_new(const iscsicore_initiator_options *options,
                                     const uint8_t *seed,
                                     uint64_t now,
                                     iscsicore_nexus **nexus);

/**
 * Ends a nexus without a word to the target. Commands end without an event: their buffers are the
 * caller's again, and payload that was lent to them is given back as soon as no transmitter holds
 * it any more. NULL is taken.
 *
 * Errors: ISCSICORE_STATUS_WRONG_STATE for the nexus of an iscsicore_simple.
 */
iscsicore_status iscsicore_nexus_free(iscsicore_nexus *nexus);

/**
 * Gives the next event in `*event`; NULL when there is none. It lives until the next call of this
 * function on this nexus.
 */
iscsicore_status iscsicore_nexus_next_event(iscsicore_nexus *nexus,
                                            const iscsicore_nexus_event **event);

/**
 * Tells that the transport that ISCSICORE_NEXUS_EVENT_KIND_DIAL asked for is open. It begins with a
 * new receiver and a new transmitter. Nothing happens when it is wanted no more.
 */
iscsicore_status iscsicore_nexus_connected(iscsicore_nexus *nexus, uint64_t now);

/**
 * Tells that no transport could be opened; `why` in words for people, which are put behind the
 * address. Nothing happens when it is wanted no more.
 */
iscsicore_status iscsicore_nexus_dial_failed(iscsicore_nexus *nexus, uint64_t now, const char *why);

/**
 * Says where the next bytes of the connection are to be read, as `*count` slices for readv: payload
 * that belongs into the buffer of a command goes straight there, what follows it into memory of the
 * library. Read, then call iscsicore_nexus_advance. `*count` is 0 when the nexus is to take what
 * has arrived first (iscsicore_nexus_receive), and at most `capacity` and 2.
 *
 * The slices hold until the next call on the nexus or on the receiver, but for those that only ask
 * (iscsicore_nexus_timeout, iscsicore_nexus_is_up and the like): finish the read before. A read
 * that goes on after ISCSICORE_NEXUS_EVENT_KIND_COMPLETED was taken would write into a buffer that
 * is the program's again.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for a capacity of 0.
 */
iscsicore_status iscsicore_nexus_want(iscsicore_nexus *nexus,
                                      iscsicore_receiver *receiver,
                                      iscsicore_iovec *slices,
                                      size_t capacity,
                                      size_t *count);

/**
 * Tells that `len` bytes were read to where iscsicore_nexus_want said: the slices filled in their
 * order.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for more than there was room for; nothing changes.
 * ISCSICORE_STATUS_PEER_ERROR when the receiver has failed before.
 */
iscsicore_status iscsicore_nexus_advance(iscsicore_nexus *nexus,
                                         iscsicore_receiver *receiver,
                                         size_t len);

/**
 * Takes the PDUs that the receiver has whole.
 *
 * Errors: ISCSICORE_STATUS_PEER_ERROR when the target broke the protocol. Events tell the same: the
 * caller may go on as after ISCSICORE_STATUS_OK.
 */
iscsicore_status iscsicore_nexus_receive(iscsicore_nexus *nexus,
                                         uint64_t now,
                                         iscsicore_receiver *receiver);

/** Moves what is to be sent into the transmitter. */
iscsicore_status iscsicore_nexus_transmit(iscsicore_nexus *nexus,
                                          uint64_t now,
                                          iscsicore_transmitter *transmitter);

/**
 * Tells that the connection is gone; `why` is an iscsicore_loss. Close the socket and free both
 * halves: no ISCSICORE_NEXUS_EVENT_KIND_HANG_UP follows. Nothing happens when the connection was
 * hung up before.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for another number.
 */
iscsicore_status iscsicore_nexus_lost(iscsicore_nexus *nexus, uint64_t now, int why);

/**
 * Tells when iscsicore_nexus_handle_timeout is to be called; ISCSICORE_NEVER when not at all. Any
 * other call may change it.
 */
iscsicore_status iscsicore_nexus_timeout(iscsicore_nexus *nexus, uint64_t *at);

/** Acts on the time that has passed; harmless when nothing is due. */
iscsicore_status iscsicore_nexus_handle_timeout(iscsicore_nexus *nexus, uint64_t now);

/**
 * Drops the connection, if there is one, and dials again at once, without any pause. Nothing
 * happens during a logout.
 */
iscsicore_status iscsicore_nexus_reconnect(iscsicore_nexus *nexus, uint64_t now);

/**
 * Waits for the commands that were taken, logs out, ends: ISCSICORE_NEXUS_EVENT_KIND_ENDED follows.
 * Without a connection it ends at once, and so it does when the connection is lost meanwhile:
 * commands that still wait end with it.
 */
iscsicore_status iscsicore_nexus_logout(iscsicore_nexus *nexus, uint64_t now);

/**
 * Ends now, without a word to the target; every command ends before
 * ISCSICORE_NEXUS_EVENT_KIND_ENDED.
 */
iscsicore_status iscsicore_nexus_end(iscsicore_nexus *nexus, uint64_t now);

/** Tells whether a session is up, so that commands are sent at once. */
iscsicore_status iscsicore_nexus_is_up(iscsicore_nexus *nexus, bool *up);

/**
 * Tells how many commands could be sent at once: the room in the target's command window. 0 without
 * a connection.
 */
iscsicore_status iscsicore_nexus_window(iscsicore_nexus *nexus, uint32_t *window);

/** Tells how many commands and other requests have not ended. */
iscsicore_status iscsicore_nexus_outstanding(iscsicore_nexus *nexus, size_t *count);

/**
 * Tells what the last login agreed on.
 *
 * Errors: ISCSICORE_STATUS_WRONG_STATE before the first.
 */
iscsicore_status iscsicore_nexus_parameters(iscsicore_nexus *nexus,
                                            iscsicore_parameters *parameters);

/**
 * Takes a command, connected or not; it leaves when its turn comes and the target's command window
 * is open. `*task` names it until ISCSICORE_NEXUS_EVENT_KIND_COMPLETED tells its end.
 *
 * Ownership: the command stays the caller's, and may be submitted again or freed at any time. Its
 * buffer must stay where it is, untouched, until its end was taken; two commands that are
 * outstanding together are not to have the same one. Payload that was lent to it stays lent as long
 * as the command lives or any submission of it has not ended.
 *
 * Errors: ISCSICORE_STATUS_QUEUE_FULL when as many commands as `queue_depth` of the limits says are
 * outstanding, ISCSICORE_STATUS_WRONG_STATE when the session has ended, is being logged out, or is
 * a discovery session, ISCSICORE_STATUS_INVALID_ARGUMENT when the buffer is too small for what the
 * command may receive.
 */
iscsicore_status iscsicore_nexus_submit(iscsicore_nexus *nexus,
                                        uint64_t now,
                                        const iscsicore_command *command,
                                        uint64_t *task);

/**
 * Aborts a command: with ABORT TASK if it was sent. ISCSICORE_NEXUS_EVENT_KIND_COMPLETED tells how
 * it ended; until then its buffer is in use.
 *
 * Errors: ISCSICORE_STATUS_UNKNOWN when there is no such command, or it has ended.
 */
iscsicore_status iscsicore_nexus_abort(iscsicore_nexus *nexus, uint64_t now, uint64_t task);

/**
 * Aborts a command whose end nobody waits for: no event tells of it, and its buffer is the
 * program's again at once. Payload that was lent to it is given back when the target is done with
 * it. A command that has ended, of which no event was taken yet, is cancelled, too; otherwise
 * nothing happens when it has ended.
 */
iscsicore_status iscsicore_nexus_cancel(iscsicore_nexus *nexus, uint64_t now, uint64_t task);

/**
 * Sends a task management function, an iscsicore_task_management_function, ahead of waiting
 * commands. ISCSICORE_NEXUS_EVENT_KIND_TASK_MANAGEMENT_DONE brings the answer. Commands that the
 * function has ended at the target end here, too; while a reset is under way no command is sent. To
 * end one command there is iscsicore_nexus_abort.
 *
 * Errors: ISCSICORE_STATUS_INVALID_ARGUMENT for another number, or a function that names a task;
 * ISCSICORE_STATUS_WRONG_STATE without a connection, or when too many requests are open.
 */
iscsicore_status iscsicore_nexus_task_management(iscsicore_nexus *nexus,
                                                 uint64_t now,
                                                 int function,
                                                 uint64_t lun,
                                                 uint64_t *request);

/**
 * Asks for targets: of the name `target`, or with NULL, all in a discovery session and the target
 * of the session in another. ISCSICORE_NEXUS_EVENT_KIND_TARGETS brings them. One question at a
 * time.
 *
 * Errors: ISCSICORE_STATUS_WRONG_STATE without a connection, or when a question is open.
 */
iscsicore_status iscsicore_nexus_send_targets(iscsicore_nexus *nexus,
                                              uint64_t now,
                                              const char *target,
                                              uint64_t *request);

/**
 * Sends a NOP-Out that asks for an answer; the payload, which may be NULL, comes back with
 * ISCSICORE_NEXUS_EVENT_KIND_PONG, as much of it as one PDU holds.
 *
 * Errors: ISCSICORE_STATUS_WRONG_STATE without a connection, or when too many requests are open.
 */
iscsicore_status iscsicore_nexus_ping(iscsicore_nexus *nexus,
                                      uint64_t now,
                                      const iscsicore_payload *payload,
                                      uint64_t *request);

/* ==============================================================================================
 * A connection with its halves inside: feed bytes, take bytes, next event
 * ============================================================================================== */

/**
 * One connection, target or initiator, in one handle: the way in for those who begin. Hand it what
 * the socket gave (iscsicore_simple_feed), write to the socket what it gives
 * (iscsicore_simple_take), act on what it tells (iscsicore_simple_next_event), in this order: take
 * until there is nothing to be sent, then events until there is none, then, if there was neither,
 * wait for the socket and for iscsicore_simple_timeout. It copies all bytes once; programs that
 * want to spare that use receivers and transmitters with iscsicore_host or iscsicore_nexus, which
 * are what is inside.
 *
 * Threads: any, one call at a time; a call of a target's connection uses its host, too, and one of
 * an initiator's its nexus.
 */
typedef struct iscsicore_simple iscsicore_simple;

/** What an event of a simple connection is. */
typedef enum iscsicore_simple_event_kind {
    /**
     * Of a target: `job` is to be carried out, then finished by iscsicore_host_finish, _finish_read
     * or _finish_extents. It may belong to another connection of the same host: transmit on all of
     * them now and then.
     */
    ISCSICORE_SIMPLE_EVENT_KIND_JOB = 1,
    /** Of an initiator: `nexus` is an event of its iscsicore_nexus, none of DIAL and HANG_UP. */
    ISCSICORE_SIMPLE_EVENT_KIND_NEXUS = 2,
    /** Nothing more is to be said: close the socket and free the connection. */
    ISCSICORE_SIMPLE_EVENT_KIND_CLOSE = 3,
} iscsicore_simple_event_kind;

/** An event of a simple connection. */
typedef struct iscsicore_simple_event {
    /** What it is. */
    iscsicore_simple_event_kind kind;
    /**
     * ISCSICORE_SIMPLE_EVENT_KIND_JOB: what is to be done. It lives until it is finished. Else
     * NULL.
     */
    const iscsicore_job *job;
    /**
     * ISCSICORE_SIMPLE_EVENT_KIND_NEXUS: what is told. It lives as long as this event. Else NULL.
     */
    const iscsicore_nexus_event *nexus;
} iscsicore_simple_event;

/**
 * Takes a connection that a server accepted. The arguments are those of iscsicore_host_connect; the
 * host cannot be freed before its connections.
 *
 * Ownership: the caller's, until iscsicore_simple_free.
 *
 * Errors: ISCSICORE_STATUS_REFUSED when too many connections are logging in: close this one.
 */
iscsicore_status iscsicore_simple_target(iscsicore_host *host,
                                         uint64_t now,
                                         const char *local_address,
                                         const uint8_t *seed,
                                         iscsicore_simple **simple);

/**
 * Takes a connection that the program has opened to a target, to log in there. The arguments are
 * those of iscsicore_nexus_new; `address` is only used in messages, and a connection that is lost
 * is not opened again.
 *
 * Ownership: the caller's, until iscsicore_simple_free.
 *
 * Errors: as of iscsicore_nexus_new.
 */
iscsicore_status iscsicore_simple_initiator(const iscsicore_initiator_options *options,
                                            const uint8_t *seed,
                                            uint64_t now,
                                            iscsicore_simple **simple);

/**
 * Ends a connection. To the session it is lost, unless it was logged out. NULL is taken.
 *
 * Errors: ISCSICORE_STATUS_BUSY while its host or nexus is in use; nothing is freed.
 */
iscsicore_status iscsicore_simple_free(iscsicore_simple *simple);

/**
 * Gives the nexus of an initiator's connection, for iscsicore_nexus_submit and the like. It belongs
 * to the connection: do not free it, and take its events by iscsicore_simple_next_event.
 *
 * Errors: ISCSICORE_STATUS_WRONG_STATE for the connection of a target.
 */
iscsicore_status iscsicore_simple_nexus(iscsicore_simple *simple, iscsicore_nexus **nexus);

/**
 * Hands over bytes that the socket gave. All of them are taken, also what the session does not
 * listen to yet.
 *
 * Errors: ISCSICORE_STATUS_PEER_ERROR when the peer broke the protocol or its login failed: go on
 * taking, what it is told is queued, until ISCSICORE_SIMPLE_EVENT_KIND_CLOSE.
 * ISCSICORE_STATUS_QUEUE_FULL while what was fed before has not been listened to: keep the bytes,
 * take what is to be sent, finish jobs, then feed them again; nothing was taken. That does not
 * happen to those who take, and finish all jobs, before they feed. ISCSICORE_STATUS_WRONG_STATE
 * when the connection is over.
 */
iscsicore_status iscsicore_simple_feed(iscsicore_simple *simple,
                                       uint64_t now,
                                       const void *bytes,
                                       size_t len);

/**
 * Copies what is to be sent into `buffer`, at most `capacity` bytes, and tells in `*len` how many
 * that are: 0 when there is nothing now. What was taken must be sent, all of it, in order.
 */
iscsicore_status iscsicore_simple_take(iscsicore_simple *simple,
                                       uint64_t now,
                                       void *buffer,
                                       size_t capacity,
                                       size_t *len);

/**
 * Gives the next event in `*event`; NULL when there is none. It lives until the next call of this
 * function on this connection.
 */
iscsicore_status iscsicore_simple_next_event(iscsicore_simple *simple,
                                             const iscsicore_simple_event **event);

/**
 * Tells that the socket is closed or broken. Events of an initiator tell what became of its
 * commands, and ISCSICORE_SIMPLE_EVENT_KIND_CLOSE follows. What had not been taken is gone.
 */
iscsicore_status iscsicore_simple_lost(iscsicore_simple *simple, uint64_t now);

/**
 * Tells when iscsicore_simple_handle_timeout is to be called; ISCSICORE_NEVER when not at all. Any
 * other call may change it. For a target it is the time of its host, the same for all connections.
 */
iscsicore_status iscsicore_simple_timeout(iscsicore_simple *simple, uint64_t *at);

/** Acts on the time that has passed; harmless when nothing is due. */
iscsicore_status iscsicore_simple_handle_timeout(iscsicore_simple *simple, uint64_t now);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* ISCSICORE_H */
