/* Adds passes to the running moments of class maps, tile by tile, so that what a pass is turned into stays in the cache.

   Plain loops over the pixels of a tile, which the compiler turns into vector instructions. No loop sums over pixels, and
   products are not fused with sums (-ffp-contract=off): every processor, vector length and number of threads gives the
   same bits. exp and log are polynomials of our own, because a loop that calls the C library is not vectorised. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if !defined(_WIN32)
#include <dlfcn.h>
#endif

#if defined(__GNUC__) && defined(__x86_64__) && defined(__GLIBC__)
#define FOR_EACH_PROCESSOR __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define FOR_EACH_PROCESSOR
#endif
#if defined(__GNUC__)
#define INLINE static inline __attribute__((always_inline))
#else
#define INLINE static inline
#endif
#define SCRATCH 8192 /* floats of a tile of logits, if it can be: 32 KiB */
#define LEAST 16     /* pixels of a tile, of which it is a multiple */
#define MOST 1024

INLINE float of_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

INLINE uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    return bits;
}

/* e^x for x <= 0; 0 below the least normal number; NaN stays NaN. The remainder of x by ln 2 goes into a polynomial. */
INLINE float exponential(float x) {
    const float shift = 12582912.0f; /* 1.5 * 2^23: adding it rounds to a whole number */
    float shifted = x * 1.44269504088896341f + shift;
    float whole = shifted - shift;
    float r = (x - whole * 0.693359375f) + whole * 2.12194440e-4f;
    float y = 1.9875691500e-4f;
    y = y * r + 1.3981999507e-3f;
    y = y * r + 8.3334519073e-3f;
    y = y * r + 4.1665795894e-2f;
    y = y * r + 1.6666665459e-1f;
    y = y * r + 5.0000001201e-1f;
    y = y * (r * r) + r + 1.0f;
    float power = of_bits((bits_of(shifted) + 127u) << 23); /* 2^whole: the shift's own bits leave with the 23 */
    float result = y * power;
    return x < -87.3f ? 0.0f : result;
}

/* ln x for x >= 1; NaN and infinity do not become finite. */
INLINE float logarithm(float x) {
    uint32_t bits = bits_of(x) - 0x3f3504f3u; /* from sqrt(1/2), so that the mantissa is between it and sqrt(2) */
    float exponent = (float)((int32_t)bits >> 23);
    float f = of_bits((bits & 0x007fffffu) + 0x3f3504f3u) - 1.0f;
    float square = f * f;
    float y = 7.0376836292e-2f;
    y = y * f - 1.1514610310e-1f;
    y = y * f + 1.1676998740e-1f;
    y = y * f - 1.2420140846e-1f;
    y = y * f + 1.4249322787e-1f;
    y = y * f - 1.6668057665e-1f;
    y = y * f + 2.0000714765e-1f;
    y = y * f - 2.4999993993e-1f;
    y = y * f + 3.3333331174e-1f;
    y = y * f * square - exponent * 2.12194440e-4f - 0.5f * square;
    float result = f + y + exponent * 0.693359375f;
    return x - x == 0.0f ? result : x;
}

typedef struct {
    float *mean, *squares, *entropy; /* [C, N], [C, N], [N] */
    uint8_t *votes;                  /* [C, N], of 1 or 2 bytes each */
    Py_ssize_t classes, pixels;      /* C, N */
    int vote_bytes;
    float share; /* one divided by the number of passes, this one included */
} Sums;

/* Adds a tile of one pass: z [C, tile] are the logits of `count` pixels from `at`; they are overwritten. */
INLINE int add_tile(const Sums *sums, Py_ssize_t at, int count, int tile, float *restrict z) {
    const Py_ssize_t classes = sums->classes, pixels = sums->pixels;
    const float share = sums->share;
    float top[MOST], total[MOST], product[MOST];
    int32_t best[MOST];
    uint32_t bad = 0;
    for (int i = 0; i < count; i++) {
        top[i] = z[i];
        total[i] = product[i] = 0;
        best[i] = 0;
    }
    for (Py_ssize_t c = 1; c < classes; c++) {
        const float *restrict row = z + c * tile;
        for (int i = 0; i < count; i++) {
            int better = row[i] > top[i];
            top[i] = better ? row[i] : top[i];
            best[i] = better ? (int32_t)c : best[i];
        }
    }
    for (Py_ssize_t c = 0; c < classes; c++) {
        float *restrict row = z + c * tile;
        for (int i = 0; i < count; i++) {
            float x = row[i] - top[i];
            float p = exponential(x);
            total[i] += p;
            product[i] += p * x;
            row[i] = p;
        }
    }
    float *restrict entropy = sums->entropy + at;
    for (int i = 0; i < count; i++) {
        float shrink = 1.0f / total[i];
        float one = logarithm(total[i]) - product[i] * shrink;
        bad |= (bits_of(one) & 0x7f800000u) == 0x7f800000u;
        entropy[i] += (one - entropy[i]) * share;
        total[i] = shrink;
    }
    for (Py_ssize_t c = 0; c < classes; c++) {
        const float *restrict row = z + c * tile;
        float *restrict mean = sums->mean + c * pixels + at, *restrict squares = sums->squares + c * pixels + at;
        for (int i = 0; i < count; i++) {
            float p = row[i] * total[i];
            float deviation = p - mean[i];
            float moved = mean[i] + deviation * share;
            mean[i] = moved;
            squares[i] += deviation * (p - moved);
        }
    }
    if (sums->vote_bytes == 1)
        for (int i = 0; i < count; i++) sums->votes[best[i] * pixels + at + i]++;
    else
        for (int i = 0; i < count; i++) ((int16_t *)sums->votes)[best[i] * pixels + at + i]++;
    return bad != 0;
}

typedef struct {
    Sums sums;
    const char *logits;
    Py_ssize_t image, class, pixel; /* steps in elements from an image, a class and a pixel to the next */
    Py_ssize_t size;                /* pixels of one image */
    int half;                       /* whether the logits are bfloat16 */
    int tile;                       /* pixels */
    float *scratch;                 /* [threads, C, tile] */
    int *bad;                       /* [threads], whether NaN or infinity was found */
    int threads;
} Job;

#define COPY(TYPE, VALUE)                                                                          \
    do {                                                                                           \
        const TYPE *from = (const TYPE *)job->logits + image * job->image + pixel * job->pixel;    \
        if (job->pixel == 1)                                                                       \
            for (Py_ssize_t c = 0; c < classes; c++)                                               \
                for (int i = 0; i < count; i++) z[c * tile + i] = VALUE(from[c * job->class + i]); \
        else                                                                                       \
            for (int i = 0; i < count; i++)                                                        \
                for (Py_ssize_t c = 0; c < classes; c++)                                           \
                    z[c * tile + i] = VALUE(from[i * job->pixel + c * job->class]);                \
    } while (0)
#define SAME(value) (value)
#define FROM_HALF(value) of_bits((uint32_t)(value) << 16)

/* Adds the pixels from `start` to `stop` of all images, which are numbered one image after the other. */
FOR_EACH_PROCESSOR
static int add_range(const Job *job, Py_ssize_t start, Py_ssize_t stop, float *restrict z) {
    const Py_ssize_t classes = job->sums.classes;
    const int tile = job->tile;
    int bad = 0;
    while (start < stop) {
        Py_ssize_t image = start / job->size, pixel = start % job->size, left = job->size - pixel;
        if (left > stop - start) left = stop - start;
        int count = left < tile ? (int)left : tile;
        if (job->half)
            COPY(uint16_t, FROM_HALF);
        else
            COPY(float, SAME);
        bad |= add_tile(&job->sums, start, count, tile, z);
        start += count;
    }
    return bad;
}

static void add_share(Job *job, int thread) {
    Py_ssize_t pixels = job->sums.pixels;
    Py_ssize_t start = pixels * thread / job->threads, stop = pixels * (thread + 1) / job->threads;
    job->bad[thread] = add_range(job, start, stop, job->scratch + thread * job->sums.classes * job->tile);
}

/* The threads of OpenMP that PyTorch has started already: threads of our own would wait for the processor while those
   spin. Found by name in the process, so that nothing is linked; without them the calling thread does all. */
static void (*parallel)(void (*)(void *), void *, unsigned, unsigned);
static int (*thread_number)(void);
static int (*thread_count)(void);

static void find_threads(void) {
#if !defined(_WIN32)
    *(void **)&parallel = dlsym(RTLD_DEFAULT, "GOMP_parallel");
    *(void **)&thread_number = dlsym(RTLD_DEFAULT, "omp_get_thread_num");
    *(void **)&thread_count = dlsym(RTLD_DEFAULT, "omp_get_num_threads");
    if (!thread_number || !thread_count) parallel = NULL;
#endif
}

static void add_shares(void *given) { /* a team may be smaller than asked for */
    Job *job = given;
    for (int thread = thread_number(); thread < job->threads; thread += thread_count()) add_share(job, thread);
}

static int run(Job *job) { /* without Python's lock; returns -1 where memory is short */
    Py_ssize_t tile = SCRATCH / job->sums.classes / LEAST * LEAST;
    job->tile = (int)(tile < LEAST ? LEAST : tile > MOST ? MOST : tile);
    Py_ssize_t most = (job->sums.pixels + job->tile - 1) / job->tile;
    if (job->threads > most) job->threads = (int)most;
    if (job->threads < 1) job->threads = 1;
    if (!parallel) job->threads = 1;
    job->scratch = malloc(sizeof(float) * job->threads * job->sums.classes * job->tile);
    job->bad = calloc(job->threads, sizeof(int));
    int bad = -1;
    if (job->scratch && job->bad) {
        bad = 0;
        if (job->threads == 1)
            add_share(job, 0);
        else
            parallel(add_shares, job, job->threads, 0);
        for (int thread = 0; thread < job->threads; thread++) bad |= job->bad[thread];
    }
    free(job->scratch);
    free(job->bad);
    return bad;
}

/* Whether the array has these numbers of elements along its axes, is of one of these types, and lies in one piece. */
static int view(PyObject *object, Py_buffer *found, const char *types, int axes, Py_ssize_t first, Py_ssize_t second) {
    if (PyObject_GetBuffer(object, found, PyBUF_STRIDES | PyBUF_FORMAT | PyBUF_WRITABLE) < 0) return 0;
    const char *type = found->format;
    if (type && *type && !type[1] && strchr(types, *type) && found->ndim == axes && found->shape[0] == first &&
        (axes == 1 || found->shape[1] == second) && PyBuffer_IsContiguous(found, 'C'))
        return 1;
    PyErr_SetString(PyExc_ValueError, "an array of the sums has another type, shape or layout than the logits ask for");
    return 0;
}

static PyObject *add(PyObject *module, PyObject *args) {
    PyObject *logits, *mean, *squares, *entropy, *votes;
    Py_ssize_t passes;
    int threads;
    if (!PyArg_ParseTuple(args, "OOOOOni", &logits, &mean, &squares, &entropy, &votes, &passes, &threads)) return NULL;
    Py_buffer z = {0}, m = {0}, s = {0}, e = {0}, v = {0};
    PyObject *result = NULL;
    if (PyObject_GetBuffer(logits, &z, PyBUF_STRIDED_RO | PyBUF_FORMAT) < 0) return NULL;
    if (z.ndim != 3 || z.shape[1] < 1 || z.shape[1] > INT32_MAX || !z.format || z.format[1] ||
        !strchr("fh", *z.format)) {
        PyErr_SetString(PyExc_ValueError, "logits are [B, C, pixels], of float32 or the bits of bfloat16 as int16");
        goto done;
    }
    Py_ssize_t classes = z.shape[1], pixels = z.shape[0] * z.shape[2];
    if (!view(mean, &m, "f", 2, classes, pixels) || !view(squares, &s, "f", 2, classes, pixels) ||
        !view(entropy, &e, "f", 1, pixels, 0) || !view(votes, &v, "Bh", 2, classes, pixels))
        goto done;
    Job job = {
        .sums = {m.buf, s.buf, e.buf, v.buf, classes, pixels, (int)v.itemsize, 1.0f / (float)passes},
        .logits = z.buf,
        .image = z.strides[0] / z.itemsize,
        .class = z.strides[1] / z.itemsize,
        .pixel = z.strides[2] / z.itemsize,
        .size = z.shape[2],
        .half = z.itemsize == 2,
        .threads = threads,
    };
    int bad;
    Py_BEGIN_ALLOW_THREADS;
    bad = run(&job);
    Py_END_ALLOW_THREADS;
    result = bad < 0 ? PyErr_NoMemory() : PyBool_FromLong(!bad);
done:
    PyBuffer_Release(&z);
    PyBuffer_Release(&m);
    PyBuffer_Release(&s);
    PyBuffer_Release(&e);
    PyBuffer_Release(&v);
    return result;
}

static PyMethodDef methods[] = {
    {"add", add, METH_VARARGS,
     "Adds one pass of B images to their sums, in place; says whether all of its logits are finite."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "compiled_sums", .m_size = -1, .m_methods = methods};

PyMODINIT_FUNC PyInit_compiled_sums(void) {
    find_threads();
    return PyModule_Create(&definition);
}
