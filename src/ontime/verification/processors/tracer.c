/* Runs a command, and all that it starts, on a processor that answers CPUID from a table and computes approximate
   instructions in a chosen way; everything else runs at native speed. x86-64 Linux with ptrace and seccomp.

   usage: tracer TABLE KIND REPORT SCANNER... -- COMMAND...
          tracer                                             prints this machine's own table

   TABLE    lines "leaf subleaf eax ebx ecx edx", hexadecimal; what it does not list reads as zero, except 0xb, 0xd
            and 0x1f, which are the machine's: they say where a thread runs and how large its registers are
   KIND     native, exact or coarse: the results of rcpps, rcpss, rsqrtps and rsqrtss
   REPORT   written at the end: "executed COUNT MNEMONIC OFFSET PATH", "answered COUNT" CPUIDs, and "unread PATH" for a
            file whose instructions could not be listed
   SCANNER  a program that answers each path on its standard input by the name of a file "offset mnemonic bytes"

   Instructions in files are replaced by UD2 as soon as they are mapped executable, before any of them can run: in the
   program and the dynamic loader when execve ends, in the rest when mmap and mprotect end, where a seccomp filter stops
   the thread. Other instructions than those four are counted and then executed by the processor.
   Exit status: the command's; 125: not possible here. */
#define _GNU_SOURCE
#include "approximate.h"
#include "cpuid_table.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

struct site { unsigned long long offset, count; char mnemonic[24]; uint8_t code[16]; int length; };
struct file { char *path; struct site *sites; size_t count; int unread; struct file *next; };
struct mapping { unsigned long long start, end, offset; char path[4096]; };

static const uint8_t TRAP[2] = {0x0f, 0x0b};
static enum kind kind;
static struct file *files;
static unsigned long long answered;
static char **scanner;
static FILE *questions, *answers;

static void die(const char *what) {
    fprintf(stderr, "tracer: %s: %s\n", what, strerror(errno));
    exit(125);
}

static void *must(void *allocated) {
    if (!allocated) die("memory");
    return allocated;
}

/* ---- instructions of files ---- */

static void start_scanner(void) {
    int to[2], from[2];
    if (pipe2(to, O_CLOEXEC) || pipe2(from, O_CLOEXEC)) die("pipe");
    pid_t between = fork();
    if (between < 0) die("fork");
    if (!between) { /* a grandchild, so that waiting for the command never meets it */
        if (fork()) _exit(0);
        dup2(to[0], 0);
        dup2(from[1], 1);
        execvp(scanner[0], scanner);
        _exit(127);
    }
    waitpid(between, NULL, 0);
    close(to[0]);
    close(from[1]);
    questions = must(fdopen(to[1], "w"));
    answers = must(fdopen(from[0], "r"));
}

static void read_sites(struct file *file) {
    char line[4200];
    if (!questions) start_scanner();
    fprintf(questions, "%s\n", file->path);
    fflush(questions);
    if (!fgets(line, sizeof line, answers)) { errno = EPIPE; die("the scanner of instructions ended"); }
    line[strcspn(line, "\n")] = 0;
    FILE *list = *line ? fopen(line, "r") : NULL;
    file->unread = !list;
    char code[40];
    struct site site = {0};
    while (list && fscanf(list, "%llx %23s %39s", &site.offset, site.mnemonic, code) == 3) {
        site.length = (int)strlen(code) / 2;
        for (int i = 0; i < site.length; i++) sscanf(code + 2 * i, "%2hhx", &site.code[i]);
        if (!strcmp(site.mnemonic, "unknown")) continue;
        if (!(file->count & (file->count + 1)))
            file->sites = must(realloc(file->sites, 2 * (file->count + 1) * sizeof site));
        file->sites[file->count++] = site;
    }
    if (list) fclose(list);
}

static struct file *file_at(const char *path) {
    for (struct file *file = files; file; file = file->next)
        if (!strcmp(file->path, path)) return file;
    struct file *file = must(calloc(1, sizeof *file));
    file->path = must(strdup(path));
    file->next = files;
    files = file;
    read_sites(file);
    return file;
}

static int memory_of(pid_t pid) {
    char name[64];
    snprintf(name, sizeof name, "/proc/%d/mem", pid);
    return open(name, O_RDWR | O_CLOEXEC);
}

static FILE *mappings_of(pid_t pid) {
    char name[64];
    snprintf(name, sizeof name, "/proc/%d/maps", pid);
    return fopen(name, "re");
}

/* The next executable mapping of a file. */
static int next_mapping(FILE *maps, struct mapping *found) {
    char line[4300], rights[8];
    while (maps && fgets(line, sizeof line, maps)) {
        int path = 0;
        if (sscanf(line, "%llx-%llx %7s %llx %*s %*s %n", &found->start, &found->end, rights, &found->offset, &path) == 4
            && rights[2] == 'x' && line[path] == '/' && !strstr(line + path, " (deleted)\n")) {
            snprintf(found->path, sizeof found->path, "%.*s", (int)strcspn(line + path, "\n"), line + path);
            return 1;
        }
    }
    return 0;
}

/* Puts traps into what is mapped between two addresses. */
static void patch(pid_t pid, unsigned long long start, unsigned long long end) {
    struct mapping at;
    FILE *maps = mappings_of(pid);
    int memory = memory_of(pid);
    while (next_mapping(maps, &at)) {
        if (at.end <= start || at.start >= end) continue;
        struct file *file = file_at(at.path);
        for (struct site *site = file->sites; site < file->sites + file->count; site++) {
            uint8_t now[16];
            if (site->offset < at.offset || site->offset - at.offset >= at.end - at.start) continue;
            off_t place = (off_t)(at.start + site->offset - at.offset);
            /* other bytes: trapped already, or not the file that was listed */
            if (pread(memory, now, site->length, place) == site->length && !memcmp(now, site->code, site->length)
                && pwrite(memory, TRAP, sizeof TRAP, place) != sizeof TRAP) die("write to a traced program");
        }
    }
    if (maps) fclose(maps);
    if (memory >= 0) close(memory);
}

/* The site at an address of a thread; address 0: forget what was found, for mappings have changed. */
static struct site *site_at(pid_t pid, unsigned long long address) {
    static struct { pid_t pid; unsigned long long address; struct site *site; } known[256], *last;
    struct mapping at;
    struct site *found = NULL;
    if (!address) { memset(known, 0, sizeof known); return NULL; }
    last = &known[(address ^ address >> 8) % 256];
    if (last->site && last->pid == pid && last->address == address) return last->site;
    FILE *maps = mappings_of(pid);
    while (!found && next_mapping(maps, &at)) {
        if (address < at.start || address >= at.end) continue;
        struct file *file = file_at(at.path);
        for (struct site *site = file->sites; site < file->sites + file->count; site++)
            if (site->offset == address - at.start + at.offset) found = site;
    }
    if (maps) fclose(maps);
    last->pid = pid, last->address = address, last->site = found;
    return found;
}

/* Lets the processor execute one instruction in its place; returns the status of the stop that follows. */
static int step_over(pid_t pid, int memory, const struct site *site, unsigned long long address) {
    int status = 0;
    if (pwrite(memory, site->code, sizeof TRAP, (off_t)address) != sizeof TRAP) return 0;
    if (!ptrace(PTRACE_SINGLESTEP, pid, 0, 0)) waitpid(pid, &status, __WALL);
    if (pwrite(memory, TRAP, sizeof TRAP, (off_t)address) < 0) return status;
    return WIFSTOPPED(status) && status >> 8 == SIGTRAP ? 0 : status;
}

/* Answers a trap of ours. Returns whether it was one; *status: a stop that came up meanwhile, or 0. */
static int answer(pid_t pid, int *status) {
    struct user_regs_struct registers;
    uint8_t now[2];
    if (ptrace(PTRACE_GETREGS, pid, 0, &registers)) return 0;
    struct site *site = site_at(pid, registers.rip);
    int memory = site ? memory_of(pid) : -1;
    int ours = memory >= 0 && pread(memory, now, 2, (off_t)registers.rip) == 2 && !memcmp(now, TRAP, 2);
    *status = 0;
    if (ours && !strcmp(site->mnemonic, "cpuid")) {
        ours = !answer_cpuid(pid);
        answered++;
    } else if (ours) {
        site->count++;
        if (approximate(pid, memory, site->code, kind)) *status = step_over(pid, memory, site, registers.rip);
    }
    if (memory >= 0) close(memory);
    return ours;
}

/* ---- the command ---- */

static void start_command(char **command, int gate) {
    enum { PROT = offsetof(struct seccomp_data, args[2]) };
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 6),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mprotect, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pkey_mprotect, 0, 2),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, PROT),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    char byte;
    if (read(gate, &byte, 1) != 1) _exit(125);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) die("seccomp");
    execvp(command[0], command);
    die(command[0]);
}

/* Deals with one stop of a thread and lets it run on. */
static void resume(pid_t pid, int status) {
    int received = WSTOPSIG(status), event = status >> 16, other;
    if (received == (SIGTRAP | 0x80)) { /* mmap or mprotect has ended */
        struct user_regs_struct registers;
        if (!ptrace(PTRACE_GETREGS, pid, 0, &registers) && (long long)registers.rax >= 0) {
            unsigned long long start = registers.orig_rax == SYS_mmap ? registers.rax : registers.rdi;
            site_at(0, 0);
            patch(pid, start, start + registers.rsi);
        }
        received = 0;
    } else if (event == PTRACE_EVENT_SECCOMP) {
        ptrace(PTRACE_SYSCALL, pid, 0, 0);
        return;
    } else if (event == PTRACE_EVENT_EXEC) {
        site_at(0, 0);
        patch(pid, 0, ~0ull);
        received = 0;
    } else if (event == PTRACE_EVENT_STOP && received != SIGTRAP) { /* a stopped job stays stopped */
        ptrace(PTRACE_LISTEN, pid, 0, 0);
        return;
    } else if (event) received = 0;
    else if (received == SIGILL && answer(pid, &other)) {
        if (other) {
            if (WIFSTOPPED(other)) resume(pid, other);
            return;
        }
        received = 0;
    }
    ptrace(PTRACE_CONT, pid, 0, received);
}

static void write_report(const char *path) {
    FILE *report = fopen(path, "w");
    if (!report) die(path);
    fprintf(report, "answered %llu\n", answered);
    for (struct file *file = files; file; file = file->next) {
        if (file->unread) fprintf(report, "unread %s\n", file->path);
        for (struct site *site = file->sites; site < file->sites + file->count; site++)
            if (site->count) fprintf(report, "executed %llu %s %llx %s\n", site->count, site->mnemonic, site->offset, file->path);
    }
    if (fclose(report)) die(path);
}

int main(int argc, char **argv) {
    int gate[2], status, result = 125, command = 4;
    if (argc == 1) { print_cpuid_table(); return 0; }
    while (command < argc && strcmp(argv[command], "--")) command++;
    if (command + 1 >= argc || command == 4) { fprintf(stderr, "usage: tracer TABLE KIND REPORT SCANNER... -- COMMAND...\n"); return 125; }
    kind = !strcmp(argv[2], "exact") ? EXACT : !strcmp(argv[2], "coarse") ? COARSE : NATIVE;
    argv[command] = NULL;
    scanner = argv + 4;
    if (read_cpuid_table(argv[1])) die(argv[1]);
    if (pipe2(gate, O_CLOEXEC)) die("pipe");
    pid_t first = fork();
    if (first < 0) die("fork");
    if (!first) { close(gate[1]); start_command(argv + command + 1, gate[0]); }
    long options = PTRACE_O_TRACEEXEC | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK
        | PTRACE_O_TRACESECCOMP | PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL;
    if (ptrace(PTRACE_SEIZE, first, 0, options)) die("ptrace");
    if (write(gate[1], "x", 1) != 1) die("pipe");
    close(gate[0]);
    close(gate[1]);
    signal(SIGINT, SIG_IGN); /* the terminal sends it to the command, too */
    signal(SIGPIPE, SIG_IGN);
    for (;;) {
        pid_t pid = waitpid(-1, &status, __WALL);
        if (pid < 0 && errno == EINTR) continue;
        if (pid < 0) break;
        if (WIFSTOPPED(status)) resume(pid, status);
        else if (pid == first) result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    write_report(argv[3]);
    return result;
}
