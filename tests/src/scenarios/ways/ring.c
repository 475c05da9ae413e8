// Makes an io_uring and a worker of it, waits until a file is there, and then removes, renames and empties files through the
// ring: each directly, and then each by the worker. Says of each what came of it.
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static int ring;
static struct io_uring_params params;
static char *queue, *answers;
static struct io_uring_sqe *entries;

static int asked(struct io_uring_sqe entry) {
    unsigned *tail = (unsigned *)(queue + params.sq_off.tail), mask = *(unsigned *)(queue + params.sq_off.ring_mask);
    unsigned at = *tail & mask;
    entries[at] = entry;
    ((unsigned *)(queue + params.sq_off.array))[at] = at;
    __atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
    if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, 0, 0) < 0) return -errno;
    unsigned *head = (unsigned *)(answers + params.cq_off.head);
    struct io_uring_cqe *found = (struct io_uring_cqe *)(answers + params.cq_off.cqes);
    int answer = found[*head & *(unsigned *)(answers + params.cq_off.ring_mask)].res;
    __atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
    return answer;
}

static struct io_uring_sqe on(int operation, const char *path) {
    return (struct io_uring_sqe){.opcode = operation, .fd = AT_FDCWD, .addr = (unsigned long)path};
}

int main(int count, char **words) {
    if (count != 2 || chdir(words[1]) != 0 || (ring = syscall(SYS_io_uring_setup, 4, &params)) < 0) {
        perror("no ring");
        return 1;
    }
    int both = PROT_READ | PROT_WRITE;
    queue = mmap(0, params.sq_off.array + 4 * params.sq_entries, both, MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQ_RING);
    answers = mmap(0, params.cq_off.cqes + sizeof(struct io_uring_cqe) * params.cq_entries, both, MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_CQ_RING);
    entries = mmap(0, 4 * sizeof *entries, both, MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQES);
    if (queue == MAP_FAILED || answers == MAP_FAILED || entries == MAP_FAILED) {
        perror("no memory for the ring");
        return 1;
    }
    asked((struct io_uring_sqe){.opcode = IORING_OP_NOP, .flags = IOSQE_ASYNC});
    printf("ready\n");
    fflush(stdout);
    while (access("go", F_OK) != 0) usleep(50000);
    const char *names[2][4] = {{"one", "two", "moved", "three"}, {"four", "five", "moved too", "six"}};
    for (int worker = 0; worker < 2; worker++) {
        const char **name = names[worker];
        struct io_uring_sqe moves = on(IORING_OP_RENAMEAT, name[1]), empties = on(IORING_OP_OPENAT, name[3]);
        moves.len = AT_FDCWD;
        moves.off = (unsigned long)name[2];
        empties.open_flags = O_WRONLY | O_TRUNC;
        struct io_uring_sqe all[] = {on(IORING_OP_UNLINKAT, name[0]), moves, empties};
        for (int each = 0; each < 3; each++) {
            all[each].flags = worker ? IOSQE_ASYNC : 0;
            int answer = asked(all[each]);
            printf("%s\n", answer < 0 ? strerror(-answer) : "done");
        }
    }
    return 0;
}
