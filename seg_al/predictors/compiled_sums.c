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

/* The words of numpy's SFC64: the generator that CountedDropout draws masks from, four elements from each. */
typedef struct {
    uint64_t a, b, c, count;
} Stream;

INLINE uint64_t word(Stream *stream) {
    uint64_t drawn = stream->a + stream->b + stream->count++;
    stream->a = stream->b ^ (stream->b >> 11);
    stream->b = stream->c + (stream->c << 3);
    stream->c = ((stream->c << 24) | (stream->c >> 40)) + drawn;
    return drawn;
}

/* The numbers of 16 bits that decide over `count` elements, and up to 3 more. */
INLINE void draw(Stream *given, uint16_t *restrict draws, Py_ssize_t count) {
    Stream stream = *given;
    for (Py_ssize_t at = 0; at < count; at += 4) {
        uint64_t drawn = word(&stream);
        draws[at] = (uint16_t)drawn;
        draws[at + 1] = (uint16_t)(drawn >> 16);
        draws[at + 2] = (uint16_t)(drawn >> 32);
        draws[at + 3] = (uint16_t)(drawn >> 48);
    }
    *given = stream;
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

typedef struct Job Job;
struct Job {
    Sums sums;
    const char *source;      /* logits, or features [B, pixels, D] before dropout, already divided by what is kept */
    Py_ssize_t images, size; /* B, and the pixels of one image */
    int tile;                /* pixels; a multiple of 16, so that each begins with a word of its own */
    int threads;
    int (*add_tiles)(const Job *job, Py_ssize_t first, Py_ssize_t last, char *scratch);
    Py_ssize_t bytes; /* of scratch, for each thread */
    char *scratch;
    int *bad; /* [threads], whether NaN or infinity was found */
    /* of logits */
    Py_ssize_t image, class, pixel; /* steps in elements from an image, a class and a pixel to the next */
    int half;                       /* whether they are bfloat16 */
    /* of features */
    Py_ssize_t depth, drawn;   /* D, and K passes that are drawn */
    const float *weight, *bias; /* [C, D] and [C] of the classifier */
    const Stream *streams;      /* [B, K] */
    uint32_t level;             /* of 65536, what is kept */
    Py_ssize_t passes;          /* before these */
};

INLINE Py_ssize_t tiles_of_image(const Job *job) { return (job->size + job->tile - 1) / job->tile; }

#define COPY(TYPE, VALUE)                                                                          \
    do {                                                                                           \
        const TYPE *from = (const TYPE *)job->source + image * job->image + start * job->pixel;    \
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

/* Adds one pass to tiles, which are numbered image after image. */
FOR_EACH_PROCESSOR
static int add_logits(const Job *job, Py_ssize_t first, Py_ssize_t last, char *scratch) {
    const Py_ssize_t classes = job->sums.classes, tiles = tiles_of_image(job);
    const int tile = job->tile;
    float *restrict z = (float *)scratch;
    int bad = 0;
    for (Py_ssize_t number = first; number < last; number++) {
        Py_ssize_t image = number / tiles, start = number % tiles * tile;
        int count = job->size - start < tile ? (int)(job->size - start) : tile;
        if (job->half)
            COPY(uint16_t, FROM_HALF);
        else
            COPY(float, SAME);
        bad |= add_tile(&job->sums, image * job->size + start, count, tile, z);
    }
    return bad;
}

/* Draws the passes over tiles and adds them: the features of a tile times each mask go through the classifier. */
FOR_EACH_PROCESSOR
static int add_features(const Job *job, Py_ssize_t first, Py_ssize_t last, char *scratch) {
    const Py_ssize_t classes = job->sums.classes, depth = job->depth, drawn = job->drawn, tiles = tiles_of_image(job);
    const int tile = job->tile;
    Stream *streams = (Stream *)scratch;
    float *restrict z = (float *)(streams + drawn), *restrict kept = z + classes * tile;
    uint16_t *restrict draws = (uint16_t *)(kept + depth * tile);
    int bad = 0;
    for (Py_ssize_t number = first; number < last; number++) {
        Py_ssize_t image = number / tiles, start = number % tiles * tile;
        int count = job->size - start < tile ? (int)(job->size - start) : tile;
        const float *restrict features = (const float *)job->source + (image * job->size + start) * depth;
        if (number == first || start == 0)
            for (Py_ssize_t k = 0; k < drawn; k++) {
                streams[k] = job->streams[image * drawn + k];
                for (Py_ssize_t skipped = 0; skipped < start * depth / 4; skipped++) word(streams + k);
            }
        for (Py_ssize_t k = 0; k < drawn; k++) {
            draw(streams + k, draws, count * depth);
            for (Py_ssize_t d = 0; d < depth; d++)
                for (int i = 0; i < count; i++)
                    kept[d * tile + i] = draws[i * depth + d] < job->level ? features[i * depth + d] : 0;
            for (Py_ssize_t c = 0; c < classes; c++) {
                float *restrict row = z + c * tile;
                for (int i = 0; i < count; i++) row[i] = job->bias[c];
                for (Py_ssize_t d = 0; d < depth; d++) {
                    const float weight = job->weight[c * depth + d], *restrict feature = kept + d * tile;
                    for (int i = 0; i < count; i++) row[i] += weight * feature[i];
                }
            }
            Sums sums = job->sums;
            sums.share = 1.0f / (float)(job->passes + k + 1);
            bad |= add_tile(&sums, image * job->size + start, count, tile, z);
        }
    }
    return bad;
}

static void add_share(Job *job, int thread) {
    Py_ssize_t tiles = job->images * tiles_of_image(job);
    Py_ssize_t first = tiles * thread / job->threads, last = tiles * (thread + 1) / job->threads;
    job->bad[thread] = job->add_tiles(job, first, last, job->scratch + thread * job->bytes);
}

static void add_shares(void *given) { /* a team may be smaller than asked for */
    Job *job = given;
    for (int thread = thread_number(); thread < job->threads; thread += thread_count()) add_share(job, thread);
}

static int run(Job *job) { /* without Python's lock; returns -1 where memory is short */
    Py_ssize_t floats = job->sums.classes + job->depth, tile = SCRATCH / floats / LEAST * LEAST;
    job->tile = (int)(tile < LEAST ? LEAST : tile > MOST ? MOST : tile);
    job->bytes = job->tile * (floats * 4 + job->depth * 2) + job->drawn * (Py_ssize_t)sizeof(Stream);
    Py_ssize_t most = job->images * tiles_of_image(job);
    if (job->threads > most) job->threads = (int)most;
    if (job->threads < 1 || !parallel) job->threads = 1;
    job->scratch = malloc(job->threads * job->bytes);
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

/* Whether the array has these numbers of elements along its axes (-1: any), is of one of these types, and lies in one
   piece. */
static int view(PyObject *object, Py_buffer *found, const char *types, int axes, const Py_ssize_t *shape, int flags) {
    if (PyObject_GetBuffer(object, found, PyBUF_STRIDES | PyBUF_FORMAT | flags) < 0) return 0;
    const char *type = found->format;
    int fits = type && *type && !type[1] && strchr(types, *type) && found->ndim == axes &&
               PyBuffer_IsContiguous(found, 'C');
    for (int axis = 0; fits && axis < axes; axis++) fits = shape[axis] < 0 || found->shape[axis] == shape[axis];
    if (!fits) PyErr_SetString(PyExc_ValueError, "an array has another type, shape or layout than the first asks for");
    return fits;
}

/* The moments, as they are handed over together: mean, squares, entropy, votes. */
typedef struct {
    Py_buffer mean, squares, entropy, votes;
} Buffers;

static void release(Buffers *buffers) {
    PyBuffer_Release(&buffers->mean);
    PyBuffer_Release(&buffers->squares);
    PyBuffer_Release(&buffers->entropy);
    PyBuffer_Release(&buffers->votes);
}

static int moments_of(PyObject *given, Py_ssize_t classes, Py_ssize_t pixels, Buffers *found, Sums *sums) {
    PyObject *mean, *squares, *entropy, *votes;
    if (!PyArg_ParseTuple(given, "OOOO", &mean, &squares, &entropy, &votes)) return 0;
    Py_ssize_t maps[] = {classes, pixels};
    if (!view(mean, &found->mean, "f", 2, maps, PyBUF_WRITABLE) ||
        !view(squares, &found->squares, "f", 2, maps, PyBUF_WRITABLE) ||
        !view(entropy, &found->entropy, "f", 1, maps + 1, PyBUF_WRITABLE) ||
        !view(votes, &found->votes, "Bh", 2, maps, PyBUF_WRITABLE))
        return 0;
    *sums = (Sums){found->mean.buf,  found->squares.buf, found->entropy.buf,         found->votes.buf,
                   classes, pixels, (int)found->votes.itemsize, 0};
    return 1;
}

static PyObject *finished(Job *job) {
    int bad;
    Py_BEGIN_ALLOW_THREADS;
    bad = run(job);
    Py_END_ALLOW_THREADS;
    return bad < 0 ? PyErr_NoMemory() : PyBool_FromLong(!bad);
}

static PyObject *add(PyObject *module, PyObject *args) {
    PyObject *logits, *moments, *result = NULL;
    Py_ssize_t passes;
    int threads;
    if (!PyArg_ParseTuple(args, "OOni", &logits, &moments, &passes, &threads)) return NULL;
    Py_buffer z = {0};
    Buffers buffers = {0};
    Job job = {.add_tiles = add_logits, .threads = threads};
    if (PyObject_GetBuffer(logits, &z, PyBUF_STRIDED_RO | PyBUF_FORMAT) < 0) return NULL;
    if (z.ndim != 3 || z.shape[1] < 1 || z.shape[1] > INT32_MAX || !z.format || z.format[1] ||
        !strchr("fh", *z.format))
        PyErr_SetString(PyExc_ValueError, "logits are [B, C, pixels], of float32 or the bits of bfloat16 as int16");
    else if (moments_of(moments, z.shape[1], z.shape[0] * z.shape[2], &buffers, &job.sums)) {
        job.sums.share = 1.0f / (float)passes;
        job.source = z.buf;
        job.images = z.shape[0];
        job.size = z.shape[2];
        job.half = z.itemsize == 2;
        job.image = z.strides[0] / z.itemsize;
        job.class = z.strides[1] / z.itemsize;
        job.pixel = z.strides[2] / z.itemsize;
        result = finished(&job);
    }
    PyBuffer_Release(&z);
    release(&buffers);
    return result;
}

static PyObject *add_dropped(PyObject *module, PyObject *args) {
    PyObject *features, *weight, *bias, *streams, *moments, *result = NULL;
    unsigned level;
    Py_ssize_t passes;
    int threads;
    if (!PyArg_ParseTuple(args, "OOOOIOni", &features, &weight, &bias, &streams, &level, &moments, &passes, &threads))
        return NULL;
    Py_buffer f = {0}, w = {0}, b = {0}, s = {0};
    Buffers buffers = {0};
    Job job = {.add_tiles = add_features, .threads = threads, .level = level, .passes = passes};
    const Py_ssize_t any[] = {-1, -1, -1};
    if (!view(features, &f, "f", 3, any, 0) || !view(bias, &b, "f", 1, any, 0)) goto done;
    const Py_ssize_t images = f.shape[0], size = f.shape[1], depth = f.shape[2], classes = b.shape[0];
    const Py_ssize_t matrix[] = {classes, depth}, states[] = {images, -1, 4};
    if (classes < 1 || depth < 1)
        PyErr_SetString(PyExc_ValueError, "there is no class or no feature");
    else if (view(weight, &w, "f", 2, matrix, 0) && view(streams, &s, "LQ", 3, states, 0) &&
             moments_of(moments, classes, images * size, &buffers, &job.sums)) {
        job.source = f.buf;
        job.images = images;
        job.size = size;
        job.depth = depth;
        job.drawn = s.shape[1];
        job.weight = w.buf;
        job.bias = b.buf;
        job.streams = s.buf;
        result = finished(&job);
    }
done:
    PyBuffer_Release(&f);
    PyBuffer_Release(&w);
    PyBuffer_Release(&b);
    PyBuffer_Release(&s);
    release(&buffers);
    return result;
}

#define DRAWS 4096 /* 8 KiB */

typedef struct {
    const float *values;
    float *out;
    const Stream *streams;
    Py_ssize_t rows, size;
    uint32_t level;
    float factor;
    int threads;
} Drop;

FOR_EACH_PROCESSOR
static void drop_rows(const Drop *job, Py_ssize_t first, Py_ssize_t step) {
    uint16_t draws[DRAWS];
    for (Py_ssize_t row = first; row < job->rows; row += step) {
        Stream stream = job->streams[row];
        for (Py_ssize_t start = 0; start < job->size; start += DRAWS) {
            const float *restrict values = job->values + row * job->size + start;
            float *restrict out = job->out + row * job->size + start;
            int count = job->size - start < DRAWS ? (int)(job->size - start) : DRAWS;
            draw(&stream, draws, count);
            for (int i = 0; i < count; i++) out[i] = (draws[i] < job->level ? values[i] : 0.0f) * job->factor;
        }
    }
}

static void drop_shares(void *given) {
    const Drop *job = given;
    drop_rows(job, thread_number(), thread_count());
}

static PyObject *drop(PyObject *module, PyObject *args) {
    PyObject *values, *streams, *out;
    Drop job;
    if (!PyArg_ParseTuple(args, "OOIfOi", &values, &streams, &job.level, &job.factor, &out, &job.threads)) return NULL;
    Py_buffer x = {0}, s = {0}, y = {0};
    const Py_ssize_t any[] = {-1, -1};
    int fits = view(values, &x, "f", 2, any, 0);
    if (fits) {
        const Py_ssize_t states[] = {x.shape[0], 4};
        fits = view(out, &y, "f", 2, x.shape, PyBUF_WRITABLE) && view(streams, &s, "LQ", 2, states, 0);
    }
    if (fits) {
        job.values = x.buf;
        job.out = y.buf;
        job.streams = s.buf;
        job.rows = x.shape[0];
        job.size = x.shape[1];
        Py_BEGIN_ALLOW_THREADS;
        if (parallel && job.threads > 1 && job.rows > 1)
            parallel(drop_shares, &job, job.threads < job.rows ? (unsigned)job.threads : (unsigned)job.rows, 0);
        else
            drop_rows(&job, 0, 1);
        Py_END_ALLOW_THREADS;
    }
    PyBuffer_Release(&x);
    PyBuffer_Release(&s);
    PyBuffer_Release(&y);
    if (!fits) return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"add", add, METH_VARARGS,
     "Adds one pass of B images to their moments, in place; says whether all of its logits are finite."},
    {"add_dropped", add_dropped, METH_VARARGS,
     "Draws passes whose dropout stands before a 1x1 classifier, and adds them; says whether their logits are finite."},
    {"drop", drop, METH_VARARGS, "Writes the elements that the masks of each row keep, times a factor, and 0 for others."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "compiled_sums", .m_size = -1, .m_methods = methods};

PyMODINIT_FUNC PyInit_compiled_sums(void) {
    find_threads();
    PyObject *module = PyModule_Create(&definition);
    if (module && PyModule_AddIntConstant(module, "INTERFACE", 2) < 0) Py_CLEAR(module);
    return module;
}
