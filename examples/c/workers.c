#define _GNU_SOURCE

#include "workers.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct list {
    struct work *first, **end;
};

struct workers {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct list waiting, done;
    bool stop;
    int event;
    unsigned count;
    pthread_t threads[];
};

static void add(struct list *list, struct work *work)
{
    work->next = NULL;
    if (list->first == NULL)
        list->end = &list->first;
    *list->end = work;
    list->end = &work->next;
}

static struct work *take(struct list *list)
{
    struct work *work = list->first;
    if (work != NULL)
        list->first = work->next;
    return work;
}

static void *run(void *argument)
{
    struct workers *workers = argument;
    pthread_mutex_lock(&workers->lock);
    while (!workers->stop) {
        struct work *work = take(&workers->waiting);
        if (work == NULL) {
            pthread_cond_wait(&workers->more, &workers->lock);
            continue;
        }
        pthread_mutex_unlock(&workers->lock);
        work_do(work);
        pthread_mutex_lock(&workers->lock);
        add(&workers->done, work);
        eventfd_write(workers->event, 1);
    }
    pthread_mutex_unlock(&workers->lock);
    return NULL;
}

struct workers *workers_new(unsigned threads)
{
    struct workers *workers = calloc(1, sizeof *workers + threads * sizeof(pthread_t));
    if (workers == NULL || (workers->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0) {
        perror("threads");
        exit(EXIT_FAILURE);
    }
    pthread_mutex_init(&workers->lock, NULL);
    pthread_cond_init(&workers->more, NULL);
    for (; workers->count < threads; workers->count++) {
        if (pthread_create(&workers->threads[workers->count], NULL, run, workers) != 0) {
            fprintf(stderr, "no thread can be started\n");
            exit(EXIT_FAILURE);
        }
    }
    return workers;
}

int workers_fd(const struct workers *workers)
{
    return workers->event;
}

bool workers_submit(struct workers *workers, const struct work *work)
{
    struct work *copy = malloc(sizeof *copy);
    if (copy == NULL)
        return false;
    *copy = *work;
    pthread_mutex_lock(&workers->lock);
    add(&workers->waiting, copy);
    pthread_cond_signal(&workers->more);
    pthread_mutex_unlock(&workers->lock);
    return true;
}

struct work *workers_done(struct workers *workers)
{
    eventfd_t count;
    pthread_mutex_lock(&workers->lock);
    struct work *work = take(&workers->done);
    if (work == NULL)
        eventfd_read(workers->event, &count);
    pthread_mutex_unlock(&workers->lock);
    return work;
}

void workers_free(struct workers *workers)
{
    if (workers == NULL)
        return;
    pthread_mutex_lock(&workers->lock);
    workers->stop = true;
    pthread_cond_broadcast(&workers->more);
    pthread_mutex_unlock(&workers->lock);
    while (workers->count > 0)
        pthread_join(workers->threads[--workers->count], NULL);
    for (struct work *work; (work = take(&workers->done)) != NULL || (work = take(&workers->waiting)) != NULL; free(work))
        work_drop(work);
    pthread_cond_destroy(&workers->more);
    pthread_mutex_destroy(&workers->lock);
    close(workers->event);
    free(workers);
}
