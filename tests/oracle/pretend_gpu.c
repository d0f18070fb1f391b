/* Pretend GPUs for llama.cpp's dry runs: devices that answer every question and compute nothing.
 *
 * They behave like ggml's CUDA back end where that decides memory: tensors padded to 128 bytes, the
 * missing part of a row of 512 added to quantised tensors, pinned host memory, work on host weights
 * taken over for batches of 32 and more, the heads and types of cache that attention is fused over,
 * the f16 copy of a cache behind it, weights of types without a kernel left to the host, events and
 * asynchronous copies for pipelines. Source: ggml/src/ggml-cuda/fattn.cu and ggml-cuda.cu
 * (supports_op) of commit 0c1e57098, for a card of compute capability 8.9 and up.
 * Memory is never given out: only plans (no_alloc) can be made with them. Recurrent states, which
 * llama.cpp allocates in a plan too, get a buffer of the right size with nothing behind it.
 *
 * The structures below mirror ggml 0.25.3's back-end interface, version 2 (ggml-backend-impl.h);
 * only the order and types of the members matter.
 *
 * Environment: PRETEND_GPUS (count), PRETEND_BYTES (memory of each, comma separated),
 * PRETEND_NO_FLASH=1 (no fused attention), PRETEND_ASYNC=0 (no asynchronous copies),
 * PRETEND_CHANGES (a library, a colon, its function that changes a graph as a real back end does),
 * PRETEND_KIND (not `cuda`: there is a kernel for everything).
 */
#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_GPUS 8
#define ALIGNMENT 128
#define ROW 512
#define OFFLOAD_MIN_BATCH 32

struct tensor;
typedef struct buffer_type * buffer_type_t;
typedef struct device * device_t;
typedef void * buffer_t;

struct buffer_type_i {
    const char * (*get_name)(buffer_type_t);
    buffer_t (*alloc_buffer)(buffer_type_t, size_t);
    size_t (*get_alignment)(buffer_type_t);
    size_t (*get_max_size)(buffer_type_t);
    size_t (*get_alloc_size)(buffer_type_t, const struct tensor *);
    bool (*is_host)(buffer_type_t);
};
struct buffer_type {
    struct buffer_type_i iface;
    device_t device;
    void * context;
};

struct caps {
    bool async, host_buffer, buffer_from_host_ptr, events, mmap_support;
};
struct buffer_i {
    void (*free_buffer)(buffer_t);
    void * (*get_base)(buffer_t);
    void * init_tensor;
    void * memset_tensor;
    void * set_tensor;
    void * get_tensor;
    void * set_tensor_2d;
    void * get_tensor_2d;
    void * cpy_tensor;
    void (*clear)(buffer_t, uint8_t);
    void * reset;
};
struct props {
    const char * name;
    const char * description;
    size_t memory_free, memory_total;
    int type;
    const char * device_id;
    struct caps caps;
};

struct backend_i {
    const char * (*get_name)(void *);
    void (*free)(void *);
    void * set_tensor_async;
    void * get_tensor_async;
    void * set_tensor_2d_async;
    void * get_tensor_2d_async;
    void * cpy_tensor_async;
    void (*synchronize)(void *);
    void * graph_plan_create;
    void * graph_plan_free;
    void * graph_plan_update;
    void * graph_plan_compute;
    int (*graph_compute)(void *, void *);
    void (*event_record)(void *, void *);
    void (*event_wait)(void *, void *);
    void * graph_optimize;
};
struct backend {
    const uint8_t * guid;
    struct backend_i iface;
    device_t device;
    void * context;
};
struct event {
    device_t device;
    void * context;
};

struct device_i {
    const char * (*get_name)(device_t);
    const char * (*get_description)(device_t);
    void (*get_memory)(device_t, size_t *, size_t *);
    int (*get_type)(device_t);
    void (*get_props)(device_t, struct props *);
    struct backend * (*init_backend)(device_t, const char *);
    buffer_type_t (*get_buffer_type)(device_t);
    buffer_type_t (*get_host_buffer_type)(device_t);
    void * buffer_from_host_ptr;
    bool (*supports_op)(device_t, const struct tensor *);
    bool (*supports_buft)(device_t, buffer_type_t);
    bool (*offload_op)(device_t, const struct tensor *);
    struct event * (*event_new)(device_t);
    void (*event_free)(device_t, struct event *);
    void (*event_synchronize)(device_t, struct event *);
};
struct reg {
    int api_version;
    struct reg_i {
        const char * (*get_name)(struct reg *);
        size_t (*get_device_count)(struct reg *);
        device_t (*get_device)(struct reg *, size_t);
        void * (*get_proc_address)(struct reg *, const char *);
    } iface;
    void * context;
};
struct device {
    struct device_i iface;
    struct reg * reg;
    void * context;
};

/* The head of ggml_tensor. */
struct tensor {
    int type;
    void * buffer;
    int64_t ne[4];
    size_t nb[4];
    int op;
    int32_t op_params[16];
    int32_t flags;
    struct tensor * src[10];
    struct tensor * view_src;
    size_t view_offs;
};

/* Of libggml-base, found when this library is loaded beside it. */
extern size_t ggml_nbytes(const struct tensor *);
extern size_t ggml_row_size(int type, int64_t ne);
extern bool ggml_is_quantized(int type);
extern const char * ggml_op_name(int op);
extern int64_t ggml_nrows(const struct tensor *);
extern int64_t ggml_nelements(const struct tensor *);
extern buffer_type_t ggml_backend_cpu_buffer_type(void);
extern buffer_t ggml_backend_buffer_init(buffer_type_t, struct buffer_i, void * context, size_t size);

enum { TYPE_GPU = 1, SOURCE_PRECISION = 3, IN_F32 = 10 }; /* GGML_PREC_F32 */
enum { F32 = 0, F16 = 1, Q4_0 = 2, Q8_0 = 8, IQ4_NL = 20, BF16 = 30, TQ1_0 = 34, TQ2_0 = 35 };
#define PAD(n, to) (((n) + (to) - 1) / (to) * (to))

static int n_gpus;
static size_t memory[MAX_GPUS];
static char names[MAX_GPUS][32];
static struct device devices[MAX_GPUS];
static struct buffer_type types[MAX_GPUS];
static struct buffer_type host_types[MAX_GPUS];
static struct reg registry;
static const uint8_t guid[16] = "pretend-gpu-000";

static int index_of(device_t dev) { return (int) (dev - devices); }
static bool is_op(const struct tensor * t, const char * name) { return strcmp(ggml_op_name(t->op), name) == 0; }
static bool flag(const char * name, bool by_default) {
    const char * value = getenv(name);
    return value ? strcmp(value, "0") != 0 : by_default;
}

static const char * type_name(buffer_type_t t) { return names[t - types]; }
static const char * host_type_name(buffer_type_t t) { (void) t; return "PRETEND_Host"; }
static void * base(buffer_t b) { (void) b; return (void *) (uintptr_t) ALIGNMENT; }
static void clear(buffer_t b, uint8_t value) { (void) b; (void) value; }
static buffer_t hollow_buffer(buffer_type_t t, size_t size) {
    struct buffer_i iface = { .get_base = base, .clear = clear };
    return ggml_backend_buffer_init(t, iface, NULL, size);
}
static size_t alignment(buffer_type_t t) { (void) t; return ALIGNMENT; }
static int64_t group_of(const struct tensor * t) { return t->src[0]->ne[2] / t->src[1]->ne[2]; }
static bool lacks_kernels(void) {
    const char * kind = getenv("PRETEND_KIND");
    return !kind || strcmp(kind, "cuda") == 0;
}
/* Whether there is a kernel for fused attention over these heads, this cache and this mask. */
static bool fuses(const struct tensor * t) {
    if (!lacks_kernels()) return true;
    const struct tensor * k = t->src[1], * v = t->src[2], * mask = t->src[3];
    if (k->type == IQ4_NL || v->type == IQ4_NL || (mask && mask->ne[2] != 1)) return false;
    int64_t key = k->ne[0], value = v->ne[0], group = group_of(t);
    bool grouped = group >= 2 && mask && k->ne[1] % 256 == 0;
    switch (key) {
        case 40: case 64: case 72: case 80: case 96: case 112: case 128: case 256: return value == key;
        case 192: return value == 128 && grouped && group % 8 == 0;
        case 320: return value == 256 && grouped && group % 32 == 0;
        case 512: return value == key && grouped;
        case 576: return value == 512 && grouped;
        default: return false;
    }
}
/* Whether it is the kernel for a token or two, which reads the cache in its own types. */
static bool takes_vectors(const struct tensor * t) {
    const struct tensor * q = t->src[0], * k = t->src[1], * v = t->src[2];
    int64_t width = q->ne[0], group = group_of(t);
    if (width > 256 || width % 64 || width == 192 || k->ne[1] % 256) return false;
    if (ggml_is_quantized(k->type) || ggml_is_quantized(v->type)) return q->ne[1] <= 2;
    if (q->ne[1] != 1) return false;
    return group < 2 || (q->ne[3] == 1 && !(group > 4 && (width >= 256 || k->ne[1] >= 8192)));
}
/* All others keep an f16 copy of a cache of another type behind their result. */
static size_t attention_size(const struct tensor * t) {
    const struct tensor * k = t->src[1], * v = t->src[2];
    size_t size = ggml_nbytes(t);
    bool compiled = k->type == v->type && (k->type == F16 || k->type == BF16 || k->type == Q8_0 || k->type == Q4_0);
    if (!fuses(t) || (compiled && takes_vectors(t))) return size;
    bool shared = v->view_src && v->view_src == k->view_src && v->view_offs == k->view_offs;
    if (k->type != F16) size = PAD(size, ALIGNMENT) + 2 * (size_t) ggml_nelements(k);
    if (v->type != F16 && !shared) size = PAD(size, ALIGNMENT) + 2 * (size_t) ggml_nelements(v);
    return size;
}

static size_t alloc_size(buffer_type_t buft, const struct tensor * t) {
    (void) buft;
    size_t size = is_op(t, "FLASH_ATTN_EXT") ? attention_size(t) : ggml_nbytes(t);
    if (ggml_is_quantized(t->type) && t->ne[0] % ROW != 0) {
        size += ggml_row_size(t->type, ROW - t->ne[0] % ROW);
    }
    return size;
}

static const char * device_name(device_t d) { return names[index_of(d)]; }
static void get_memory(device_t d, size_t * free_bytes, size_t * total) { *free_bytes = *total = memory[index_of(d)]; }
static int get_type(device_t d) { (void) d; return TYPE_GPU; }
static void get_props(device_t d, struct props * p) {
    p->name = p->description = names[index_of(d)];
    p->memory_free = p->memory_total = memory[index_of(d)];
    p->type = TYPE_GPU;
    p->device_id = NULL;
    p->caps = (struct caps) { flag("PRETEND_ASYNC", true), true, false, true, true };
}

static const char * backend_name(void * b) { return device_name(((struct backend *) b)->device); }
static void backend_free(void * b) { free(b); }
static void synchronize(void * b) { (void) b; }
static int graph_compute(void * b, void * graph) { (void) b; (void) graph; return -1; }
static void event_record(void * b, void * e) { (void) b; (void) e; }
/* What a real back end does to its part of a graph; NULL when nothing was asked for. */
static void * changes(void) {
    const char * asked = getenv("PRETEND_CHANGES");
    const char * colon = asked ? strrchr(asked, ':') : NULL;
    if (!colon) return NULL;
    char path[4096];
    snprintf(path, sizeof path, "%.*s", (int) (colon - asked), asked);
    void * library = dlopen(path, RTLD_NOW);
    void * found = library ? dlsym(library, colon + 1) : NULL;
    if (!found) {
        fprintf(stderr, "pretend_gpu: %s\n", dlerror());
        abort();
    }
    return found;
}

static struct backend * init_backend(device_t d, const char * params) {
    (void) params;
    struct backend * b = calloc(1, sizeof *b);
    b->guid = guid;
    b->iface.get_name = backend_name;
    b->iface.free = backend_free;
    b->iface.synchronize = synchronize;
    b->iface.graph_compute = graph_compute;
    b->iface.event_record = event_record;
    b->iface.event_wait = event_record;
    b->iface.graph_optimize = changes();
    b->device = d;
    return b;
}

static buffer_type_t get_buffer_type(device_t d) { return &types[index_of(d)]; }
static buffer_type_t get_host_buffer_type(device_t d) { return &host_types[index_of(d)]; }
static bool supports_op(device_t d, const struct tensor * t) {
    (void) d;
    if (is_op(t, "FLASH_ATTN_EXT")) return !flag("PRETEND_NO_FLASH", false) && fuses(t);
    if (!lacks_kernels()) return true;
    if (is_op(t, "MUL_MAT_ID") && t->op_params[SOURCE_PRECISION] == IN_F32) return false;
    bool multiplies = is_op(t, "MUL_MAT") || is_op(t, "MUL_MAT_ID");
    return !(multiplies && (t->src[0]->type == TQ1_0 || t->src[0]->type == TQ2_0));
}
static bool supports_buft(device_t d, buffer_type_t t) { return t == &types[index_of(d)]; }
static bool offload_op(device_t d, const struct tensor * t) {
    (void) d;
    int64_t batch = ggml_nrows(t);
    if (is_op(t, "GET_ROWS")) batch = 0;
    if (is_op(t, "MUL_MAT")) batch = t->ne[1];
    if (is_op(t, "MUL_MAT_ID") || is_op(t, "ROPE")) batch = t->ne[2];
    return batch >= OFFLOAD_MIN_BATCH;
}
static struct event * event_new(device_t d) {
    struct event * e = calloc(1, sizeof *e);
    e->device = d;
    return e;
}
static void event_free(device_t d, struct event * e) { (void) d; free(e); }
static void event_synchronize(device_t d, struct event * e) { (void) d; (void) e; }

static const char * reg_name(struct reg * r) { (void) r; return "PRETEND"; }
static size_t device_count(struct reg * r) { (void) r; return (size_t) n_gpus; }
static device_t get_device(struct reg * r, size_t i) { (void) r; return &devices[i]; }

/* Returns the registration to hand to ggml_backend_register. */
void * pretend_gpu_reg(void) {
    const char * count = getenv("PRETEND_GPUS");
    const char * bytes = getenv("PRETEND_BYTES");
    n_gpus = count ? atoi(count) : 1;
    if (n_gpus > MAX_GPUS) n_gpus = MAX_GPUS;
    registry.api_version = 2;
    registry.iface.get_name = reg_name;
    registry.iface.get_device_count = device_count;
    registry.iface.get_device = get_device;
    for (int i = 0; i < n_gpus; i++) {
        memory[i] = (size_t) 24 << 30;
        if (bytes && *bytes) {
            char * end;
            memory[i] = strtoull(bytes, &end, 10);
            bytes = *end == ',' ? end + 1 : end;
        }
        snprintf(names[i], sizeof names[i], "PRETEND%d", i);
        struct buffer_type_i on_device = { type_name, hollow_buffer, alignment, NULL, alloc_size, NULL };
        types[i] = (struct buffer_type) { on_device, &devices[i], NULL };
        host_types[i] = *ggml_backend_cpu_buffer_type();
        host_types[i].iface.get_name = host_type_name;
        host_types[i].device = &devices[i];
        devices[i].iface = (struct device_i) {
            device_name, device_name, get_memory, get_type, get_props, init_backend,
            get_buffer_type, get_host_buffer_type, NULL, supports_op, supports_buft, offload_op,
            event_new, event_free, event_synchronize,
        };
        devices[i].reg = &registry;
    }
    return &registry;
}
