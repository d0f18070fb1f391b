/* Writes down the graphs that llama.cpp reserves memory for, node by node.
 *
 * Loaded with global symbols before llama.cpp, its functions stand in front of those of libggml-base
 * that have the same names, and hand each graph on to them.
 *
 * A node is a line: n, address, operation, type, ne, nb, flags, address of what it is a view of,
 * addresses of its sources. What comes from no node is one of its own, with l in front, before the
 * first that reads it. What was pinned to a back end is one more: w, address, back end. After the
 * graph was divided each node is another line: p, address, back end.
 *
 * The head of ggml_tensor below mirrors ggml 0.25.3.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define SOURCES 10
#define MAX_PINS 65536
enum { OP_NONE = 0 };

struct tensor {
    int type;
    void * buffer;
    int64_t ne[4];
    size_t nb[4];
    int op;
    int32_t op_params[16];
    int32_t flags;
    struct tensor * src[SOURCES];
    struct tensor * view_src;
    size_t view_offs;
};

static void * base;  /* libggml-base */
static char * text;
static size_t length;
static struct { void * tensor, * backend; } pins[MAX_PINS];
static int n_pins;

/* Takes the handle of libggml-base, once it is loaded. */
void spy_on(void * library) { base = library; }

/* Returns what was written of the last graph. */
const char * spy_text(void) { return text ? text : ""; }

static void * own(const char * name) {
    void * found = base ? dlsym(base, name) : NULL;
    if (!found) {
        fprintf(stderr, "graph_spy: libggml-base has no %s\n", name);
        abort();
    }
    return found;
}

static void write_tensor(FILE * file, char letter, const struct tensor * t) {
    const char * (*op_name)(int) = own("ggml_op_name");
    const char * (*type_name)(int) = own("ggml_type_name");
    fprintf(file, "%c %p %s %s", letter, (void *) t, op_name(t->op), type_name(t->type));
    for (int i = 0; i < 4; i++) fprintf(file, " %" PRId64, t->ne[i]);
    for (int i = 0; i < 4; i++) fprintf(file, " %zu", t->nb[i]);
    fprintf(file, " %d %p", t->flags, (void *) t->view_src);
    for (int i = 0; i < SOURCES; i++) {
        if (t->src[i]) fprintf(file, " %p", (void *) t->src[i]);
    }
    fprintf(file, "\n");
}

static void write_nodes(FILE * file, void * graph) {
    int (*count)(void *) = own("ggml_graph_n_nodes");
    struct tensor * (*node)(void *, int) = own("ggml_graph_node");
    for (int i = 0; i < count(graph); i++) {
        const struct tensor * t = node(graph, i);
        for (int s = 0; s < SOURCES; s++) {
            if (t->src[s] && t->src[s]->op == OP_NONE) write_tensor(file, 'l', t->src[s]);
        }
        if (t->view_src && t->view_src->op == OP_NONE) write_tensor(file, 'l', t->view_src);
        write_tensor(file, 'n', t);
    }
}

static int index_of(void * sched, void * wanted) {
    int (*count)(void *) = own("ggml_backend_sched_get_n_backends");
    void * (*backend)(void *, int) = own("ggml_backend_sched_get_backend");
    int place = 0;
    while (place < count(sched) && backend(sched, place) != wanted) place++;
    return place;
}

static void write_pins(FILE * file, void * sched) {
    for (int i = 0; i < n_pins; i++) {
        fprintf(file, "w %p %d\n", pins[i].tensor, index_of(sched, pins[i].backend));
    }
}

static void write_places(FILE * file, void * sched, void * graph) {
    int (*count)(void *) = own("ggml_graph_n_nodes");
    struct tensor * (*node)(void *, int) = own("ggml_graph_node");
    void * (*backend_of)(void *, struct tensor *) = own("ggml_backend_sched_get_tensor_backend");
    for (int i = 0; i < count(graph); i++) {
        struct tensor * t = node(graph, i);
        fprintf(file, "p %p %d\n", (void *) t, index_of(sched, backend_of(sched, t)));
    }
}

static FILE * begin(void * sched, void * graph) {
    free(text);
    FILE * file = open_memstream(&text, &length);
    write_nodes(file, graph);
    write_pins(file, sched);
    return file;
}

static void end(FILE * file, void * sched, void * graph) {
    write_places(file, sched, graph);
    fclose(file);
}

bool ggml_backend_sched_reserve(void * sched, void * graph) {
    bool (*real)(void *, void *) = own("ggml_backend_sched_reserve");
    FILE * file = begin(sched, graph);
    bool answer = real(sched, graph);
    end(file, sched, graph);
    return answer;
}

void ggml_backend_sched_reserve_size(void * sched, void * graph, size_t * sizes) {
    void (*real)(void *, void *, size_t *) = own("ggml_backend_sched_reserve_size");
    FILE * file = begin(sched, graph);
    real(sched, graph, sizes);
    end(file, sched, graph);
}

void ggml_backend_sched_set_tensor_backend(void * sched, void * tensor, void * backend) {
    void (*real)(void *, void *, void *) = own("ggml_backend_sched_set_tensor_backend");
    if (n_pins == MAX_PINS) abort();
    pins[n_pins].tensor = tensor;
    pins[n_pins++].backend = backend;
    real(sched, tensor, backend);
}

/* A graph is made after this. */
void ggml_backend_sched_reset(void * sched) {
    void (*real)(void *) = own("ggml_backend_sched_reset");
    n_pins = 0;
    real(sched);
}
