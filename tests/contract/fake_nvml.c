/* A stand-in for libnvidia-ml.so.1: two GPUs, the second one cut into two MIG instances.
   FAKE_NVML names a fault: "no_permission", "lost" (GPU 0 stops answering), "all_lost", "old" (no v2 memory). */
#include <stdlib.h>
#include <string.h>

typedef void *Dev; /* 1, 2: GPUs; 21, 22: instances of GPU 2 */
typedef unsigned long long u64;
enum { OK = 0, INVALID = 2, NOT_SUPPORTED = 3, NO_PERMISSION = 4, NOT_FOUND = 6, SMALL = 7,
       NO_FUNCTION = 13, LOST = 15 };

static int fault(const char *name) { const char *f = getenv("FAKE_NVML"); return f && !strcmp(f, name); }
static const char *uuid_of(long d) {
  switch (d) {
    case 1: return "GPU-00000000-0000-0000-0000-000000000000";
    case 2: return "GPU-11111111-1111-1111-1111-111111111111";
    case 21: return "MIG-22222222-2222-2222-2222-222222222222";
    default: return "MIG-33333333-3333-3333-3333-333333333333";
  }
}
static int gone(Dev d) { return fault("all_lost") || ((long)d == 1 && fault("lost")); }

int nvmlInitWithFlags(unsigned f) { return fault("no_permission") ? NO_PERMISSION : OK; }
int nvmlShutdown(void) { return OK; }
const char *nvmlErrorString(int r) { return r == LOST ? "GPU is lost" : "fake error"; }
int nvmlDeviceGetCount_v2(unsigned *c) { *c = 2; return OK; }
int nvmlDeviceGetHandleByIndex_v2(unsigned i, Dev *d) { 
  if (i > 1) return INVALID;
  *d = (Dev)(long)(i + 1); return gone(*d) ? LOST : OK;
}
int nvmlDeviceGetHandleByUUID(const char *u, Dev *d) {
  long all[] = {1, 2, 21, 22};
  for (int i = 0; i < 4; i++) if (!strcmp(u, uuid_of(all[i]))) { *d = (Dev)all[i]; return OK; }
  return NOT_FOUND;
}
int nvmlDeviceGetUUID(Dev d, char *b, unsigned n) { strncpy(b, uuid_of((long)d), n); return OK; }
int nvmlDeviceGetName(Dev d, char *b, unsigned n) { strncpy(b, "Fake GPU", n); return OK; }
int nvmlDeviceGetMemoryInfo_v2(Dev d, void *p) {
  struct { unsigned version; u64 total, reserved, free, used; } *m = p;
  if (fault("old")) return NO_FUNCTION;
  if (gone(d)) return LOST;
  m->total = (long)d > 2 ? 8ull << 30 : 16ull << 30;
  m->reserved = 512ull << 20; m->used = 1ull << 30; m->free = m->total - m->used - m->reserved;
  return OK;
}
int nvmlDeviceGetMemoryInfo(Dev d, void *p) {
  struct { u64 total, free, used; } *m = p;
  if (gone(d)) return LOST;
  m->total = (long)d > 2 ? 8ull << 30 : 16ull << 30; m->used = 1ull << 30; m->free = m->total - m->used;
  return OK;
}
int nvmlDeviceGetComputeRunningProcesses_v3(Dev d, unsigned *c, void *p) {
  struct { unsigned pid; u64 used; unsigned gi, ci; } *q = p;
  if (gone(d)) return LOST;
  if (!q || !*c) { *c = 1; return SMALL; }
  *c = 1; q[0].pid = 1234; q[0].used = 300ull << 20; q[0].gi = q[0].ci = ~0u;
  return OK;
}
int nvmlDeviceGetComputeMode(Dev d, int *mode) { *mode = (long)d == 1 ? 3 : 0; return OK; }
int nvmlDeviceGetMigMode(Dev d, unsigned *now, unsigned *then) {
  if ((long)d != 2) return NOT_SUPPORTED;
  *now = *then = 1; return OK;
}
int nvmlDeviceGetMaxMigDeviceCount(Dev d, unsigned *c) { *c = 7; return OK; }
int nvmlDeviceGetMigDeviceHandleByIndex(Dev d, unsigned i, Dev *m) {
  if ((long)d != 2 || i > 1) return NOT_FOUND;
  *m = (Dev)(long)(21 + i); return OK;
}
int nvmlDeviceGetCpuAffinity(Dev d, unsigned n, unsigned long *set) { memset(set, 0, n * 8); set[0] = 3; return OK; }
