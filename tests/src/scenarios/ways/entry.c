// Entries into the kernel that no interpreter offers: the 32-bit call, x32, other ways to start a program, code that was
// written into memory, and a signal handler that edits registers. Runs inside the agent; says "done" or the error's name.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

// The 32-bit entry takes 32 bits of an address: what it is given must lie low.
static char *low;

static char *lowered(const char *text) {
    char *at = low;
    low = strcpy(low, text) + strlen(text) + 1;
    return at;
}

static long call32(long number, long first, long second, long third) {
    long answer;
    __asm__ volatile("int $0x80"
                     : "=a"(answer)
                     : "a"(number), "b"(first), "c"(second), "d"(third)
                     : "memory", "r8", "r9", "r10", "r11");
    answer = (int)answer;
    if (answer < 0) errno = -answer;
    return answer < 0 ? -1 : answer;
}

static int waited(pid_t child) {
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) return -1;
    errno = WEXITSTATUS(status);
    return status == 0 ? 0 : -1;
}

static char **program;

static void *execute(void *unused) {
    execv(program[0], program);
    printf("%s\n", strerror(errno));
    fflush(stdout);
    _exit(1);
}

static void *remove_it(void *path) { return unlink(path) ? (void *)(long)errno : 0; }

static const char *second_path;

// Turns the call that is done again to another file.
static void edit(int signal, siginfo_t *info, void *context) {
    ucontext_t *at = context;
    if (second_path) at->uc_mcontext.gregs[REG_RDI] = (greg_t)second_path;
    write(1, "edited\n", 7);
}

static long stub(long number, const char *path);
__asm__(".globl code, code_end\ncode: mov %rdi, %rax\n mov %rsi, %rdi\n syscall\n ret\ncode_end:");
extern const char code[], code_end[];

static long stub(long number, const char *path) {
    void *at = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(at, code, code_end - code);
    long answer = ((long (*)(long, const char *))at)(number, path);
    if (answer < 0) errno = -answer;
    return answer < 0 ? -1 : 0;
}

// A library that removes a file when it is loaded.
__attribute__((constructor)) static void loaded(void) {
    const char *path = getenv("REMOVED_BY_A_LIBRARY");
    if (path && unlink(path) != 0) _exit(errno);
}

static long act(const char *how, char **words) {
    if (!strcmp(how, "unlink32")) return call32(10, (long)lowered(words[0]), 0, 0);
    if (!strcmp(how, "open32")) return call32(5, (long)lowered(words[0]), O_WRONLY | O_TRUNC, 0);
    if (!strcmp(how, "ioctl32")) {
        // FS_IOC32_GETFLAGS, then FS_IOC32_SETFLAGS with no time of access besides: without those it has the file system
        // would convert the file as well.
        int *flags = (int *)low, file = open(words[0], O_RDONLY);
        long answer = call32(54, file, 0x80046601, (long)flags);
        if (answer < 0) return answer;
        *flags |= 0x80;
        return call32(54, file, 0x40046602, (long)flags);
    }
    if (!strcmp(how, "exec32")) {
        unsigned *argv = (unsigned *)low;
        low += 32;
        for (int word = 0; words[word]; word++) argv[word] = (unsigned)(long)lowered(words[word]);
        return call32(11, argv[0], (long)argv, 0);
    }
    if (!strcmp(how, "unlinkx32")) return syscall(0x40000000 | SYS_unlink, words[0]);
    if (!strcmp(how, "code")) return stub(SYS_unlink, words[0]);
    if (!strcmp(how, "vfork")) {
        pid_t child = vfork();
        if (child == 0) {
            execv(words[0], words);
            _exit(errno);
        }
        return waited(child);
    }
    if (!strcmp(how, "spawn")) {
        pid_t child;
        int error = posix_spawn(&child, words[0], 0, 0, words, 0);
        errno = error;
        return error ? -1 : waited(child);
    }
    if (!strcmp(how, "thread")) {
        pthread_t thread;
        program = words;
        pthread_create(&thread, 0, execute, 0);
        return pthread_join(thread, 0);
    }
    if (!strcmp(how, "unlink_in_thread")) {
        pthread_t thread;
        void *error;
        pthread_create(&thread, 0, remove_it, words[0]);
        pthread_join(thread, &error);
        errno = (int)(long)error;
        return error ? -1 : 0;
    }
    if (!strcmp(how, "replaced_beside")) {
        pthread_t thread;
        pthread_create(&thread, 0, remove_it, words[0]);
        usleep(300000);
        return execv(words[1], words + 1);
    }
    if (!strcmp(how, "edit")) {
        struct sigaction action = {.sa_sigaction = edit, .sa_flags = SA_SIGINFO};
        sigaction(SIGCONT, &action, 0);
        second_path = words[1];
        return syscall(SYS_unlink, words[0]);
    }
    errno = EINVAL;
    return -1;
}

int main(int count, char **words) {
    low = mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    if (count > 2 && act(words[1], words + 2) >= 0) {
        printf("done\n");
        return 0;
    }
    printf("%s\n", strerror(errno));
    return 1;
}
