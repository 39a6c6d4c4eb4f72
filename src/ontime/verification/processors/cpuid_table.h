/* Answers CPUID from a table: lines "leaf subleaf eax ebx ecx edx", hexadecimal. */
#ifndef CPUID_TABLE_H
#define CPUID_TABLE_H
#include <sys/types.h>

/* Prints this machine's own table. */
void print_cpuid_table(void);

/* Returns 0, or -1 with errno if the table cannot be read. */
int read_cpuid_table(const char *path);

/* Answers a thread that stands at CPUID and moves it behind that; -1 if the thread is gone. */
int answer_cpuid(pid_t thread);
#endif
