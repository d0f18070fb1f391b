/* Writes down the graphs that llama.cpp reserves memory for, node by node.
 *
 * Loaded with global symbols before llama.cpp, its functions stand in front of those of libggml-base
 * that have the same names, and hand each graph on to them.
 *
 * A node is a line: n, address, operation, type, ne, nb, flags, address of what it is a view of,
 * addresses of its sources. What comes from no node is one of its own, with l in front, before the
 * first that reads it. After the graph was divided each node is another line: p, address, back end.
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

static void write_places(FILE * file, void * sched, void * graph) {
    int (*count)(void *) = own("ggml_graph_n_nodes");
    struct tensor * (*node)(void *, int) = own("ggml_graph_node");
    int (*n_backends)(void *) = own("ggml_backend_sched_get_n_backends");
    void * (*backend)(void *, int) = own("ggml_backend_sched_get_backend");
    void * (*backend_of)(void *, struct tensor *) = own("ggml_backend_sched_get_tensor_backend");
    for (int i = 0; i < count(graph); i++) {
        struct tensor * t = node(graph, i);
        int place = 0;
        while (place < n_backends(sched) && backend(sched, place) != backend_of(sched, t)) place++;
        fprintf(file, "p %p %d\n", (void *) t, place);
    }
}

static FILE * begin(void * graph) {
    free(text);
    FILE * file = open_memstream(&text, &length);
    write_nodes(file, graph);
    return file;
}

static void end(FILE * file, void * sched, void * graph) {
    write_places(file, sched, graph);
    fclose(file);
}

bool ggml_backend_sched_reserve(void * sched, void * graph) {
    bool (*real)(void *, void *) = own("ggml_backend_sched_reserve");
    FILE * file = begin(graph);
    bool answer = real(sched, graph);
    end(file, sched, graph);
    return answer;
}

void ggml_backend_sched_reserve_size(void * sched, void * graph, size_t * sizes) {
    void (*real)(void *, void *, size_t *) = own("ggml_backend_sched_reserve_size");
    FILE * file = begin(graph);
    real(sched, graph, sizes);
    end(file, sched, graph);
}
