// Memory for a call, kept by each thread for its next one.
#pragma once

#include <cstdint>
#include <cstdlib>

#include "numbers.h"

namespace enfold {

class Scratch {
public:
    ~Scratch() { std::free(data_); }
    template <class T> T* get(int64_t count) {
        const int64_t bytes = round_up(int64_t(sizeof(T)) * count + 64, 4096);
        if (bytes > size_) {
            std::free(data_);
            data_ = std::aligned_alloc(4096, size_t(bytes));
            if (!data_) std::abort();  // a few MB: nothing can be done any more
            size_ = bytes;
        }
        return static_cast<T*>(data_);
    }

private:
    void* data_ = nullptr;
    int64_t size_ = 0;
};

}  // namespace enfold
