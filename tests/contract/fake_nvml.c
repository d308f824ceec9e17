/* A stand-in for libnvidia-ml.so.1 whose answers are written by a test.

   Every call reads the file that FAKE_NVML_STATE names, so that a test changes a
   device by writing the file anew (FakeDriver in gpu/aiotune_gpu/fake_driver.py does). Its lines:

     driver CODE                     what every call returns, 0 for an answer; 4 from
                                     nvmlInit is a driver that may not be asked; 999: none returns
     gpu UUID key=value ...          a GPU; their order is that of the PCI bus
     mig UUID parent=UUID ...        an instance of one
     process UUID PID BYTES KIND     on a device; -1 bytes: not told; KIND compute or mps
     event NUMBER UUID XID GI CI     a fault; -1: no particular instance

   Keys: name total reserved used mode lost (the code a lost device answers with)
   bus cpus nodes mig gi ci cores ecc pending failed pages recovery util crowded denied silent
   deaf (the code that waiting for its faults ends with) hangs (no call about it returns
   while this is 1) slow (milliseconds of each call about it).
   A negative value of total, cores, ecc, util, recovery, pages or nodes is "not supported".
   Compiled with OLD_DRIVER it lacks what drivers before 510 lack. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef void *Dev; /* number of the device in the file, from 1 */
typedef unsigned long long u64;
typedef unsigned int u32;
enum { OK = 0, INVALID = 2, NOT_SUPPORTED = 3, DENIED = 4, NOT_FOUND = 6, SMALL = 7, TIMEOUT = 10, BAD_VERSION = 25 };
enum { DEVICES = 16, PROCESSES = 32, EVENTS = 128, HANGS = 999, PERIOD = 5000 };

typedef struct {
  char uuid[96], parent[96], name[64], bus[32];
  long long total, reserved, used, mode, lost, cpus, nodes, mig, gi, ci;
  long long ecc, pending, failed, pages, recovery, util, crowded, denied, silent, deaf, hangs, slow, cores;
  int is_mig;
} Row;
typedef struct { char uuid[96], kind[16]; u32 pid; long long used; } Process;
typedef struct { char uuid[96]; long number; u64 xid; int gi, ci; } Event;
typedef struct {
  int driver, devices, processes, events;
  Row device[DEVICES];
  Process process[PROCESSES];
  Event event[EVENTS];
} State;

/* ── reading the file ─────────────────────────────────────────────────────── */

static void set(Row *row, const char *key, const char *value) {
  struct { const char *key; long long *at; } numbers[] = {
      {"total", &row->total}, {"reserved", &row->reserved}, {"used", &row->used},
      {"mode", &row->mode}, {"lost", &row->lost}, {"cpus", &row->cpus},
      {"nodes", &row->nodes}, {"mig", &row->mig}, {"gi", &row->gi}, {"ci", &row->ci},
      {"cores", &row->cores}, {"ecc", &row->ecc}, {"pending", &row->pending}, {"failed", &row->failed},
      {"pages", &row->pages}, {"recovery", &row->recovery}, {"util", &row->util},
      {"crowded", &row->crowded}, {"denied", &row->denied}, {"silent", &row->silent}, {"deaf", &row->deaf},
      {"hangs", &row->hangs}, {"slow", &row->slow}};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
    if (!strcmp(key, numbers[i].key)) *numbers[i].at = atoll(value);
  if (!strcmp(key, "parent")) snprintf(row->parent, sizeof row->parent, "%s", value);
  if (!strcmp(key, "name")) snprintf(row->name, sizeof row->name, "%s", value);
  if (!strcmp(key, "bus")) snprintf(row->bus, sizeof row->bus, "%s", value);
}

static void add_device(State *s, char *rest, int is_mig) {
  if (s->devices == DEVICES) return;
  Row *row = &s->device[s->devices++];
  char *save, *word = strtok_r(rest, " \n", &save);
  row->is_mig = is_mig;
  snprintf(row->uuid, sizeof row->uuid, "%s", word ? word : "");
  while ((word = strtok_r(NULL, " \n", &save))) {
    char *equals = strchr(word, '=');
    if (!equals) continue;
    *equals = 0;
    set(row, word, equals + 1);
  }
}

static void add_line(State *s, char *line) {
  char *rest = strchr(line, ' ');
  if (!rest) return;
  *rest++ = 0;
  if (!strcmp(line, "driver")) s->driver = atoi(rest);
  if (!strcmp(line, "gpu")) add_device(s, rest, 0);
  if (!strcmp(line, "mig")) add_device(s, rest, 1);
  if (!strcmp(line, "process") && s->processes < PROCESSES) {
    Process *p = &s->process[s->processes];
    s->processes += sscanf(rest, "%95s %u %lld %15s", p->uuid, &p->pid, &p->used, p->kind) == 4;
  }
  if (!strcmp(line, "event") && s->events < EVENTS) {
    Event *e = &s->event[s->events];
    s->events += sscanf(rest, "%ld %95s %llu %d %d", &e->number, e->uuid, &e->xid, &e->gi, &e->ci) == 5;
  }
}

static int read_state(State *s) {
  const char *path = getenv("FAKE_NVML_STATE");
  FILE *file = path ? fopen(path, "r") : NULL;
  char line[1024];
  memset(s, 0, sizeof *s);
  s->driver = 9; /* the driver is not loaded */
  if (!file) return s->driver;
  while (fgets(line, sizeof line, file)) add_line(s, line);
  fclose(file);
  return s->driver;
}

static int load(State *s) {
  while (read_state(s) == HANGS) usleep(PERIOD);
  return s->driver;
}

static Row *named(State *s, const char *uuid) {
  for (int i = 0; i < s->devices; i++)
    if (!strcmp(s->device[i].uuid, uuid)) return &s->device[i];
  return NULL;
}

/* The device of a handle, or why it does not answer: an instance is lost with its GPU. */
static int look(State *s, Dev d, Row **row, Row **whole) {
  int code = load(s);
  long number = (long)d;
  if (code) return code;
  if (number < 1 || number > s->devices) return INVALID;
  *row = &s->device[number - 1];
  *whole = (*row)->is_mig ? named(s, (*row)->parent) : *row;
  return *whole ? (int)(*whole)->lost : NOT_FOUND;
}

static int find(State *s, Dev d, Row **row) {
  Row *whole = NULL;
  int code = look(s, d, row, &whole);
  if (whole && whole->slow) usleep((u32)whole->slow * 1000);
  while (whole && whole->hangs) {
    usleep(PERIOD);
    whole = NULL;
    code = look(s, d, row, &whole);
  }
  return code;
}

static Dev handle_of(State *s, Row *row) { return (Dev)(long)(row - s->device + 1); }

#define ROW(d) State s; Row *r; int code = find(&s, d, &r); if (code) return code
#define WHOLE_GPU(d) ROW(d); if (r->is_mig) return NOT_SUPPORTED

/* ── the driver ───────────────────────────────────────────────────────────── */

int nvmlInitWithFlags(u32 flags) { State s; (void)flags; return load(&s); }
int nvmlShutdown(void) { State s; return load(&s); }
const char *nvmlErrorString(int code) { return code == 15 ? "GPU is lost" : code == 16 ? "GPU requires reset" : "fake error"; }

int nvmlDeviceGetCount_v2(u32 *count) {
  State s; int code = load(&s);
  *count = 0;
  for (int i = 0; i < s.devices; i++) *count += !s.device[i].is_mig;
  return code;
}

int nvmlDeviceGetHandleByIndex_v2(u32 index, Dev *d) {
  State s; int code = load(&s);
  if (code) return code;
  for (int i = 0; i < s.devices; i++) {
    Row *row = &s.device[i];
    if (row->is_mig || index--) continue;
    *d = handle_of(&s, row);
    return find(&s, *d, &row);
  }
  return INVALID;
}

int nvmlDeviceGetHandleByUUID(const char *uuid, Dev *d) {
  State s; int code = load(&s);
  if (code) return code;
  Row *row = named(&s, uuid);
  if (!row) return NOT_FOUND;
  *d = handle_of(&s, row);
  return find(&s, *d, &row);
}

/* ── a device ─────────────────────────────────────────────────────────────── */

int nvmlDeviceGetUUID(Dev d, char *text, u32 size) { ROW(d); snprintf(text, size, "%s", r->uuid); return OK; }
int nvmlDeviceGetName(Dev d, char *text, u32 size) { ROW(d); snprintf(text, size, "%s", r->name); return OK; }
int nvmlDeviceGetComputeMode(Dev d, int *mode) { ROW(d); *mode = (int)r->mode; return OK; }

int nvmlDeviceGetMemoryInfo(Dev d, void *out) {
  struct { u64 total, free, used; } *m = out;
  ROW(d);
  if (r->total < 0) return NOT_SUPPORTED;
  m->total = r->total; m->used = r->used + r->reserved; m->free = m->total - m->used;
  return OK;
}

int nvmlDeviceGetCpuAffinity(Dev d, u32 words, unsigned long *mask) {
  ROW(d);
  memset(mask, 0, words * sizeof *mask);
  mask[0] = (unsigned long)r->cpus;
  return OK;
}

int nvmlDeviceGetMemoryAffinity(Dev d, u32 words, unsigned long *mask, u32 scope) {
  ROW(d);
  if (r->nodes < 0 || scope) return NOT_SUPPORTED;
  memset(mask, 0, words * sizeof *mask);
  mask[0] = (unsigned long)r->nodes;
  return OK;
}

/* Where it exists it names the GPU's own memory: a trap, since nobody should ask. */
int nvmlDeviceGetNumaNodeId(Dev d, u32 *node) { ROW(d); *node = 999; return OK; }

int nvmlDeviceGetPciInfo_v3(Dev d, void *out) {
  struct { char legacy[16]; u32 domain, bus, device, id, subsystem; char busId[32]; } *p = out;
  WHOLE_GPU(d);
  memset(p, 0, sizeof *p);
  snprintf(p->busId, sizeof p->busId, "%s", r->bus);
  return OK;
}

/* ── its processes ────────────────────────────────────────────────────────── */

static int processes(Dev d, u32 *count, void *out, const char *kind) {
  struct { u32 pid; u64 used; u32 gi, ci; } *list = out;
  u32 have = 0, room = *count;
  ROW(d);
  if (r->denied) return DENIED;
  for (int i = 0; i < s.processes; i++) {
    Process *p = &s.process[i];
    if (strcmp(p->uuid, r->uuid) || strcmp(p->kind, kind)) continue;
    if (list && have < room) {
      list[have].pid = p->pid;
      list[have].used = p->used < 0 ? ~0ull : (u64)p->used;
      list[have].gi = list[have].ci = ~0u;
    }
    have++;
  }
  *count = have;
  return have > room || r->crowded ? SMALL : OK;
}

#ifdef OLD_DRIVER
int nvmlDeviceGetComputeRunningProcesses_v2(Dev d, u32 *count, void *out) { return processes(d, count, out, "compute"); }
#else
int nvmlDeviceGetComputeRunningProcesses_v3(Dev d, u32 *count, void *out) { return processes(d, count, out, "compute"); }
int nvmlDeviceGetMPSComputeRunningProcesses_v3(Dev d, u32 *count, void *out) { return processes(d, count, out, "mps"); }

int nvmlDeviceGetNumGpuCores(Dev d, u32 *count) { ROW(d); *count = (u32)r->cores; return r->cores < 0 ? NOT_SUPPORTED : OK; }

int nvmlDeviceGetMemoryInfo_v2(Dev d, void *out) {
  struct { u32 version; u64 total, reserved, free, used; } *m = out;
  ROW(d);
  if (m->version != 0x02000028) return BAD_VERSION;
  if (r->total < 0) return NOT_SUPPORTED;
  m->total = r->total; m->reserved = r->reserved; m->used = r->used;
  m->free = m->total - m->used - m->reserved;
  return OK;
}

int nvmlDeviceGetFieldValues(Dev d, int count, void *out) {
  struct { u32 field, scope; long long when, latency; u32 type, code; union { u32 number; u64 wide; } value; } *f = out;
  ROW(d);
  for (int i = 0; i < count; i++) {
    f[i].code = f[i].field == 230 && r->recovery >= 0 ? OK : NOT_SUPPORTED;
    f[i].value.wide = 0;
    f[i].value.number = r->recovery < 0 ? 1 : (u32)r->recovery; /* no answer, and rubbish in it */
  }
  return OK;
}
#endif

/* ── its instances ────────────────────────────────────────────────────────── */

int nvmlDeviceGetMigMode(Dev d, u32 *now, u32 *then) {
  WHOLE_GPU(d);
  if (r->mig < 0) return NOT_SUPPORTED;
  *now = *then = (u32)r->mig;
  return OK;
}

int nvmlDeviceGetMaxMigDeviceCount(Dev d, u32 *count) { WHOLE_GPU(d); *count = 7; return OK; }

int nvmlDeviceGetMigDeviceHandleByIndex(Dev d, u32 index, Dev *instance) {
  WHOLE_GPU(d);
  for (int i = 0; i < s.devices; i++) {
    if (!s.device[i].is_mig || strcmp(s.device[i].parent, r->uuid) || index--) continue;
    *instance = handle_of(&s, &s.device[i]);
    return OK;
  }
  return NOT_FOUND;
}

int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(Dev d, Dev *whole) {
  ROW(d);
  if (!r->is_mig) return INVALID;
  *whole = handle_of(&s, named(&s, r->parent));
  return OK;
}

int nvmlDeviceGetGpuInstanceId(Dev d, u32 *id) { ROW(d); if (!r->is_mig) return NOT_SUPPORTED; *id = (u32)r->gi; return OK; }
int nvmlDeviceGetComputeInstanceId(Dev d, u32 *id) { ROW(d); if (!r->is_mig) return NOT_SUPPORTED; *id = (u32)r->ci; return OK; }

/* ── its health ───────────────────────────────────────────────────────────── */

int nvmlDeviceGetTotalEccErrors(Dev d, u32 kind, u32 since, u64 *count) {
  WHOLE_GPU(d);
  if (r->ecc < 0) return NOT_SUPPORTED;
  *count = kind == 1 && since == 0 ? (u64)r->ecc : 0;
  return OK;
}

int nvmlDeviceGetRemappedRows(Dev d, u32 *corrected, u32 *uncorrected, u32 *pending, u32 *failed) {
  WHOLE_GPU(d);
  *corrected = *uncorrected = 0;
  *pending = (u32)r->pending; *failed = (u32)r->failed;
  return OK;
}

int nvmlDeviceGetRetiredPagesPendingStatus(Dev d, u32 *pending) {
  WHOLE_GPU(d);
  if (r->pages < 0) return NOT_SUPPORTED;
  *pending = (u32)r->pages;
  return OK;
}

int nvmlDeviceGetUtilizationRates(Dev d, void *out) {
  struct { u32 gpu, memory; } *u = out;
  WHOLE_GPU(d);
  if (r->util < 0 || r->mig > 0) return NOT_SUPPORTED;
  u->gpu = (u32)r->util; u->memory = 0;
  return OK;
}

/* ── faults ───────────────────────────────────────────────────────────────── */

typedef struct { long seen; int devices, spoilt; Dev device[DEVICES]; } EventSet;
typedef struct { Dev device; u64 type, data; u32 gi, ci; } EventData;

int nvmlEventSetCreate(EventSet **set) {
  State s; int code = load(&s);
  if (code) return code;
  *set = calloc(1, sizeof **set);
  for (int i = 0; i < s.events; i++) /* what was before is not told */
    if (s.event[i].number > (*set)->seen) (*set)->seen = s.event[i].number;
  return OK;
}

int nvmlEventSetFree(EventSet *set) { free(set); return OK; }
int nvmlDeviceGetSupportedEventTypes(Dev d, u64 *kinds) { WHOLE_GPU(d); *kinds = r->silent ? 1 : 1 | 8; return OK; }

int nvmlDeviceRegisterEvents(Dev d, u64 kinds, EventSet *set) {
  WHOLE_GPU(d);
  if (r->silent || !(kinds & 8)) return NOT_SUPPORTED;
  set->device[set->devices++] = d;
  return OK;
}

static int is_registered(EventSet *set, Dev d) {
  for (int i = 0; i < set->devices; i++)
    if (set->device[i] == d) return 1;
  return 0;
}

/* The oldest fault that the set has not told; else whether a device of it is lost,
   after which it tells nothing else. */
static int next_event(EventSet *set, EventData *data) {
  State s; Row *r; int code = load(&s);
  if (code || set->spoilt) return code ? code : 15;
  for (int i = 0; i < s.events; i++) {
    Event *e = &s.event[i];
    Row *row = named(&s, e->uuid);
    if (e->number <= set->seen || !row || !is_registered(set, handle_of(&s, row))) continue;
    set->seen = e->number;
    data->device = handle_of(&s, row);
    data->type = 8; data->data = e->xid; data->gi = (u32)e->gi; data->ci = (u32)e->ci;
    return OK;
  }
  for (int i = 0; i < set->devices; i++) {
    if ((set->spoilt = !!find(&s, set->device[i], &r))) return 15;
    if (r->deaf) return (int)r->deaf;
  }
  return TIMEOUT;
}

static long now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int nvmlEventSetWait_v2(EventSet *set, EventData *data, u32 ms) {
  long end = now_ms() + ms;
  int code;
  while ((code = next_event(set, data)) == TIMEOUT && now_ms() < end) usleep(1000);
  return code;
}
