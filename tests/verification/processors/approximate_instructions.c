/* Executes one approximate instruction of each form and CPUID, and prints the bits of what they give. */
#include <cpuid.h>
#include <immintrin.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static float in[16] __attribute__((aligned(64))) = {1.1f, 1.7f, 3.14159f, 1e-30f, 7e7f, 0.3f, 12345.678f, 1.9999f};
static float out[8] __attribute__((aligned(64)));

static void show(const char *name, int count) {
    printf("%s", name);
    for (int i = 0; i < count; i++) { unsigned bits; memcpy(&bits, out + i, 4); printf(" %08x", bits); }
    printf("\n");
    memset(out, 0, sizeof out);
}

static void *thread(void *unused) {
    __asm__ volatile("movaps %1, %%xmm1; rcpps %%xmm1, %%xmm9; movaps %%xmm9, %0" : "=m"(out) : "m"(in) : "xmm1", "xmm9");
    return unused;
}

static void illegal(int number) { (void)number; printf("illegal instruction\n"); exit(3); }

int main(int argc, char **argv) {
    unsigned a, b, c, d;
    long index = 1;
    if (argc > 1 && !strcmp(argv[1], "cpuid")) {
        __cpuid_count(4, 0, a, b, c, d);
        printf("%x %x\n", b, c);
        return 7;
    }
    if (argc > 1) {
        signal(SIGILL, illegal);
        __asm__ volatile("ud2");
    }
    thread(NULL);
    show("rcpps", 4);
    __asm__ volatile("rcpps in(%%rip), %%xmm2; movaps %%xmm2, %0" : "=m"(out) : "m"(in) : "xmm2");
    show("rcpps", 4);
    __asm__ volatile("movaps %1, %%xmm3; rcpss 8(%2,%3,4), %%xmm3; movaps %%xmm3, %0" : "=m"(out) : "m"(in), "r"(in), "r"(index) : "xmm3");
    show("rcpss", 1);
    __asm__ volatile("movaps %1, %%xmm4; rsqrtps %%xmm4, %%xmm4; movaps %%xmm4, %0" : "=m"(out) : "m"(in) : "xmm4");
    show("rsqrtps", 4);
    __asm__ volatile("rsqrtss %1, %%xmm5; movss %%xmm5, %0" : "=m"(out) : "m"(in) : "xmm5");
    show("rsqrtss", 1);
    __asm__ volatile("vmovaps %1, %%ymm14; vrcpps %%ymm14, %%ymm15; vmovaps %%ymm15, %0" : "=m"(out) : "m"(in) : "xmm14", "xmm15");
    show("vrcpps", 8);
    __asm__ volatile("vrsqrtps (%2), %%ymm7; vmovaps %%ymm7, %0; vzeroupper" : "=m"(out) : "m"(in), "r"(in) : "xmm7");
    show("vrsqrtps", 8);
    __asm__ volatile("vmovaps %1, %%xmm8; vrcpss %%xmm8, %%xmm8, %%xmm10; vmovaps %%xmm10, %0" : "=m"(out) : "m"(in) : "xmm8", "xmm10");
    show("vrcpss", 1);
    double sine;
    __asm__ volatile("fldl %1; fsin; fstpl %0" : "=m"(sine) : "m"((double){1.0}));
    printf("fsin %.6f\n", sine);
    pthread_t other;
    pthread_create(&other, NULL, thread, NULL);
    pthread_join(other, NULL);
    show("rcpps", 4);
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        thread(NULL);
        show("rcpps", 4);
        fflush(stdout);
        execl(argv[0], argv[0], "cpuid", (char *)NULL);
    }
    int status;
    waitpid(child, &status, 0);
    printf("child %d\n", WEXITSTATUS(status));
    return 5;
}
