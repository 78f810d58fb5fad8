/* iscsicore_set_allocator: the library takes all memory from the program, gives back what it took as it took it, and keeps but
 * the copy of the functions when everything was freed and the threads that used it have ended.
 *
 *   allocator [move]   the program's functions, with `reallocate` or without: a session of its own thread
 *   allocator late     too late: a call came before
 *   allocator none     the program has no memory from the start
 *   allocator end      the program runs out of memory: the process is to be aborted
 */
#include "pair.h"

#include <pthread.h>
#include <stdio.h>

/* What stands where the memory of a block really begins; its address stands right before the memory that is given out. */
struct block {
    size_t len, alignment;
    struct block *next, *previous;
};

struct heap {
    pthread_mutex_t lock;
    unsigned long allocated, reallocated, freed;
    size_t bytes, blocks, most_alignment, errors;
    /* Allocations that are still to succeed. */
    unsigned long left;
    /* The blocks in use. */
    struct block *first;
};

static struct heap heap = {PTHREAD_MUTEX_INITIALIZER, 0, 0, 0, 0, 0, 0, 0, 0, NULL};

static size_t whole(size_t len, size_t alignment) {
    return (len + alignment - 1) / alignment * alignment;
}

static void *give(size_t len, size_t alignment) {
    size_t offset = whole(sizeof(struct block) + sizeof(struct block *), alignment);
    size_t least = alignment < sizeof(void *) ? sizeof(void *) : alignment;
    heap.errors += len == 0 || (alignment & (alignment - 1)) != 0;
    struct block *block = heap.left == 0 ? NULL : aligned_alloc(least, whole(offset + len, least));
    if (block == NULL) {
        return NULL;
    }
    *block = (struct block){len, alignment, heap.first, NULL};
    if (heap.first != NULL) {
        heap.first->previous = block;
    }
    heap.first = block;
    unsigned char *memory = (unsigned char *)block + offset;
    heap.errors += (uintptr_t)memory % alignment != 0;
    memcpy(memory - sizeof block, &block, sizeof block);
    memset(memory, 0xaa, len);
    heap.left--;
    heap.bytes += len;
    heap.blocks++;
    heap.most_alignment = alignment > heap.most_alignment ? alignment : heap.most_alignment;
    return memory;
}

static void take(void *memory, size_t len, size_t alignment) {
    struct block *block;
    memcpy(&block, (unsigned char *)memory - sizeof block, sizeof block);
    heap.errors += block->len != len || block->alignment != alignment;
    if (block->next != NULL) {
        block->next->previous = block->previous;
    }
    *(block->previous != NULL ? &block->previous->next : &heap.first) = block->next;
    heap.bytes -= len;
    heap.blocks--;
    memset(memory, 0xdd, len);
    free(block);
}

static void *allocate(void *context, size_t len, size_t alignment) {
    pthread_mutex_lock(&heap.lock);
    heap.errors += context != &heap;
    heap.allocated++;
    void *memory = give(len, alignment);
    pthread_mutex_unlock(&heap.lock);
    return memory;
}

static void take_back(void *context, void *memory, size_t len, size_t alignment) {
    pthread_mutex_lock(&heap.lock);
    heap.errors += context != &heap || memory == NULL;
    heap.freed++;
    take(memory, len, alignment);
    pthread_mutex_unlock(&heap.lock);
}

static void *reallocate(void *context, void *memory, size_t len, size_t alignment, size_t new_len) {
    pthread_mutex_lock(&heap.lock);
    heap.errors += context != &heap || memory == NULL || new_len == 0;
    heap.reallocated++;
    void *other = give(new_len, alignment);
    if (other != NULL) {
        memcpy(other, memory, len < new_len ? len : new_len);
        take(memory, len, alignment);
    }
    pthread_mutex_unlock(&heap.lock);
    return other;
}

static iscsicore_allocator functions(bool move) {
    iscsicore_allocator given;
    memset(&given, 0, sizeof given);
    given.size = sizeof given;
    given.allocate = allocate;
    given.free = take_back;
    given.reallocate = move ? reallocate : NULL;
    given.context = &heap;
    return given;
}

static void *session(void *context) {
    struct pair pair;
    struct loans loans = {0, 0};
    iscsicore_iovec slices[3];
    static unsigned char bytes[256 << 10], buffer[256 << 10];
    iscsicore_command *command;
    iscsicore_offer offer = {.size = sizeof offer, .data_digest = ISCSICORE_DIGEST_CRC32C};
    struct terms terms = {.offer = &offer};
    (void)context;
    memset(bytes, 0x5c, sizeof bytes);
    pair_up(&pair, &terms);
    iscsicore_payload payload = lend(&loans, bytes, sizeof bytes, slices, 3);
    NEED(iscsicore_command_write(LUN_0, 0, &payload, BLOCK, &command));
    pair_run(&pair, command);
    NEED(iscsicore_command_read(LUN_0, 0, sizeof buffer / BLOCK, BLOCK, &command));
    NEED(iscsicore_command_set_buffer(command, buffer, sizeof buffer));
    pair_run(&pair, command);
    CHECK(memcmp(bytes, buffer, sizeof buffer) == 0);
    /* Words of an error are memory, too. */
    WANT(UNKNOWN, iscsicore_host_lost(pair.host, pair.now, 0));
    pair_free(&pair);
    CHECK(loans.lent == 1 && loans.released == 1);
    return NULL;
}

static void balanced(bool move) {
    iscsicore_allocator given = functions(move);
    pthread_t thread;
    WANT(OK, iscsicore_set_allocator(&given));
    /* What was given is copied. */
    memset(&given, 0xff, sizeof given);
    NEED_THAT(pthread_create(&thread, NULL, session, NULL) == 0);
    NEED_THAT(pthread_join(thread, NULL) == 0);
    CHECK(heap.errors == 0 && heap.allocated > 100);
    CHECK(move ? heap.reallocated > 0 : heap.reallocated == 0);
    CHECK(heap.bytes == sizeof given && heap.blocks == 1);
    printf("allocator: %lu allocated, %lu moved, %lu freed, %zu bytes left in %zu block, greatest alignment %zu\n",
           heap.allocated, heap.reallocated, heap.freed, heap.bytes, heap.blocks, heap.most_alignment);
    given = functions(move);
    WANT(WRONG_STATE, iscsicore_set_allocator(&given));
    given.size = 1;
    WANT(INVALID_SIZE, iscsicore_set_allocator(&given));
}

static void late(void) {
    iscsicore_allocator given = functions(true);
    WANT(NULL_POINTER, iscsicore_set_allocator(NULL));
    WANT(WRONG_STATE, iscsicore_set_allocator(&given));
    CHECK(heap.allocated == 0);
}

static void none(void) {
    iscsicore_allocator given = functions(true);
    iscsicore_receiver *receiver;
    heap.left = 0;
    CHECK(iscsicore_set_allocator(&given) == INVALID && *iscsicore_error_message() != 0);
    CHECK(iscsicore_set_allocator(&given) == INVALID);
    NEED(iscsicore_receiver_new(NULL, &receiver));
    NEED(iscsicore_receiver_free(receiver));
    CHECK(iscsicore_set_allocator(&given) == WRONG_STATE);
    CHECK(heap.allocated == 2 && heap.freed == 0);
}

int main(int count, char **arguments) {
    const char *what = count > 1 ? arguments[1] : "";
    heap.left = (unsigned long)-1;
    /* These may come before. */
    CHECK(*iscsicore_version() != 0 && *iscsicore_status_text(OK) != 0);
    if (strcmp(what, "late") == 0) {
        late();
    } else if (strcmp(what, "none") == 0) {
        none();
    } else if (strcmp(what, "end") == 0) {
        iscsicore_allocator given = functions(true);
        NEED(iscsicore_set_allocator(&given));
        heap.left = 50;
        session(NULL);
        fprintf(stderr, "there was memory after all\n");
    } else {
        balanced(strcmp(what, "move") == 0);
    }
    return check_done("allocator");
}
