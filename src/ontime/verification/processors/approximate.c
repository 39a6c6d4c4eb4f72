#define _GNU_SOURCE
#include "approximate.h"

#include <cpuid.h>
#include <elf.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <unistd.h>
#include <xmmintrin.h>

/* Extended state as XSAVE lays it out (Intel SDM volume 1, 13.4): legacy area, header, then components by CPUID 0xd. */
enum { XMM = 160, PRESENT = 512, SSE = 1 << 1, AVX = 1 << 2, ZMM_HIGH = 1 << 6, STATE_BYTES = 16384 };

struct instruction {
    int reciprocal, scalar, vex, wide, target, other, length;
    int source;            /* register, or -1: memory at */
    unsigned long long at;
};

static uint32_t bits_of(float value) { uint32_t bits; memcpy(&bits, &value, 4); return bits; }
static float float_of(uint32_t bits) { float value; memcpy(&value, &bits, 4); return value; }
static int tiny(uint32_t bits) { return !(bits >> 23 & 255); }

/* Intel SDM volume 2, RCPPS and RSQRTPS: denormal arguments are zeros, denormal results become zeros, and the relative
   error is at most 1.5 * 2^-12, within which the processor may choose. */
static uint32_t compute(int reciprocal, uint32_t argument, enum kind kind) {
    float x = float_of(tiny(argument) ? argument & 0x80000000u : argument);
    if (kind == NATIVE) return bits_of(_mm_cvtss_f32(reciprocal ? _mm_rcp_ss(_mm_set_ss(x)) : _mm_rsqrt_ss(_mm_set_ss(x))));
    if (isnan(x)) return bits_of(x) | 0x400000u;
    if (!reciprocal && x < 0) return 0xffc00000u;
    uint32_t result = bits_of(reciprocal ? 1.0f / x : x == 0 ? copysignf(INFINITY, x) : (float)(1.0 / sqrt((double)x)));
    if (tiny(result)) return result & 0x80000000u;
    if (kind == COARSE && (result >> 23 & 255) != 255) result = (result + 0x800u) & ~0xfffu;
    return result;
}

static unsigned long long general(const struct user_regs_struct *r, int number) {
    const unsigned long long all[16] = {r->rax, r->rcx, r->rdx, r->rbx, r->rsp, r->rbp, r->rsi, r->rdi,
                                        r->r8,  r->r9,  r->r10, r->r11, r->r12, r->r13, r->r14, r->r15};
    return all[number];
}

static int32_t signed_32(const uint8_t *at) { int32_t value; memcpy(&value, at, 4); return value; }

/* Intel SDM volume 2, chapter 2: prefixes, REX or VEX, opcode, ModRM, SIB and displacement. */
static int decode(const uint8_t *code, const struct user_regs_struct *registers, struct instruction *found) {
    int i = 0, r = 0, x = 0, b = 0;
    memset(found, 0, sizeof *found);
    if (code[0] == 0xc5 || code[0] == 0xc4) {
        int three = code[0] == 0xc4, last = code[1 + three];
        r = !(code[1] & 0x80);
        if (three) {
            x = !(code[1] & 0x40), b = !(code[1] & 0x20);
            if ((code[1] & 31) != 1) return -1;
        }
        found->vex = 1, found->other = ~last >> 3 & 15, found->wide = last >> 2 & 1, found->scalar = (last & 3) == 2;
        if (last & 1) return -1;
        i = 2 + three;
    } else {
        if (code[i] == 0xf3) found->scalar = 1, i++;
        if ((code[i] & 0xf0) == 0x40) r = code[i] >> 2 & 1, x = code[i] >> 1 & 1, b = code[i] & 1, i++;
        if (code[i++] != 0x0f) return -1;
    }
    if (code[i] != 0x52 && code[i] != 0x53) return -1;
    found->reciprocal = code[i++] == 0x53;
    int modrm = code[i++], mode = modrm >> 6, rm = modrm & 7;
    found->target = (modrm >> 3 & 7) | r << 3;
    found->source = mode == 3 ? rm | b << 3 : -1;
    if (mode != 3) {
        int relative = mode == 0 && rm == 5, no_base = relative;
        if (rm == 4) {
            int sib = code[i++], index = (sib >> 3 & 7) | x << 3;
            rm = sib & 7, no_base = mode == 0 && rm == 5;
            if (index != 4) found->at += general(registers, index) << (sib >> 6);
        }
        if (!no_base) found->at += general(registers, rm | b << 3);
        if (mode == 1) found->at += (unsigned long long)(int8_t)code[i++];
        if (mode == 2 || no_base) found->at += (unsigned long long)(long long)signed_32(code + i), i += 4;
        if (relative) found->at += registers->rip + (unsigned long long)i;
    }
    found->length = i;
    return 0;
}

static unsigned component(unsigned number) {
    unsigned size, offset, c, d;
    __cpuid_count(0xd, number, size, offset, c, d);
    return offset;
}

int approximate(pid_t thread, int memory, const uint8_t *code, enum kind kind) {
    static uint8_t state[STATE_BYTES] __attribute__((aligned(64)));
    struct user_regs_struct registers;
    struct instruction it;
    struct iovec whole = {state, sizeof state};
    if (ptrace(PTRACE_GETREGS, thread, 0, &registers) || decode(code, &registers, &it)) return -1;
    if (ptrace(PTRACE_GETREGSET, thread, NT_X86_XSTATE, &whole)) return -1;
    uint64_t present;
    memcpy(&present, state + PRESENT, sizeof present);
    int lanes = it.scalar ? 1 : it.vex && it.wide ? 8 : 4;
    uint8_t *low = state + XMM, *high = state + component(2);
    uint32_t in[8] = {0}, out[8] = {0};
    if (it.source < 0) {
        if (pread(memory, in, 4 * lanes, (off_t)it.at) != 4 * lanes) return -1;
    } else {
        memcpy(in, low + 16 * it.source, 16);
        if (lanes == 8) memcpy(in + 4, high + 16 * it.source, 16);
    }
    if (it.scalar) memcpy(out, low + 16 * (it.vex ? it.other : it.target), 16);
    for (int lane = 0; lane < lanes; lane++) out[lane] = compute(it.reciprocal, in[lane], kind);
    memcpy(low + 16 * it.target, out, 16);
    present |= SSE;
    if (it.vex) { /* a VEX instruction clears what it does not write, a legacy one leaves it */
        memcpy(high + 16 * it.target, out + 4, 16);
        present |= AVX;
        if (present & ZMM_HIGH) memset(state + component(6) + 32 * it.target, 0, 32);
    }
    memcpy(state + PRESENT, &present, sizeof present);
    registers.rip += (unsigned long long)it.length;
    if (ptrace(PTRACE_SETREGSET, thread, NT_X86_XSTATE, &whole)) return -1;
    return ptrace(PTRACE_SETREGS, thread, 0, &registers) ? -1 : 0;
}
