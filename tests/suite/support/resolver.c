/* Stands in for the system's resolver for names that end in ".stub". The file RESOLVER has what is answered: an IPv4
 * address a line, in this order; "fail"; or "hang", which lasts until the file says something else. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char ours[] = "stub";

static int read_plan(char *text, size_t size) {
    FILE *file = fopen(getenv("RESOLVER"), "re");
    size_t length = file ? fread(text, 1, size - 1, file) : 0;
    if (file) fclose(file);
    text[length] = 0;
    return strncmp(text, "hang", 4) == 0;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result) {
    size_t length = node ? strlen(node) : 0;
    if (length < 5 || strcmp(node + length - 5, ".stub")) {
        int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
            dlsym(RTLD_NEXT, "getaddrinfo");
        return real(node, service, hints, result);
    }
    char text[4096];
    while (read_plan(text, sizeof text)) usleep(10000);
    struct addrinfo **next = result;
    *result = NULL;
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        struct sockaddr_in *address = calloc(1, sizeof *address);
        if (inet_pton(AF_INET, line, &address->sin_addr) != 1) {
            free(address);
            return EAI_NONAME;
        }
        address->sin_family = AF_INET;
        struct addrinfo *info = calloc(1, sizeof *info);
        info->ai_family = AF_INET;
        info->ai_socktype = SOCK_STREAM;
        info->ai_protocol = IPPROTO_TCP;
        info->ai_addrlen = sizeof *address;
        info->ai_addr = (struct sockaddr *)address;
        info->ai_canonname = ours;
        *next = info;
        next = &info->ai_next;
    }
    return *result ? 0 : EAI_NONAME;
}

void freeaddrinfo(struct addrinfo *info) {
    if (info && info->ai_canonname != ours) {
        void (*real)(struct addrinfo *) = dlsym(RTLD_NEXT, "freeaddrinfo");
        real(info);
        return;
    }
    while (info) {
        struct addrinfo *next = info->ai_next;
        free(info->ai_addr);
        free(info);
        info = next;
    }
}
