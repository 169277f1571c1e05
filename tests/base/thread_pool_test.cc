#include "chunkstore/base/thread_pool.h"

#include <gtest/gtest.h>
#include <pthread.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <future>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace dedupfs {
namespace {

TEST(ThreadPoolTest, ParallelForRunsEveryIndexOnce) {
  ThreadPool pool("test", 3);
  for (const size_t count : {0, 1, 2, 3, 1000}) {
    std::vector<std::atomic<int>> runs(count);
    pool.ParallelFor(count, [&](size_t i) { ++runs[i]; });
    for (size_t i = 0; i < count; ++i) EXPECT_EQ(runs[i], 1) << i << " of " << count;
  }
}

TEST(ThreadPoolTest, ParallelForEndsWhileEveryWorkerIsBusy) {
  ThreadPool pool("test", 2);
  std::promise<void> release;
  const std::shared_future<void> released = release.get_future().share();
  for (int i = 0; i < 2; ++i) pool.Submit([released] { released.wait(); });
  std::atomic<int> sum{0};
  pool.ParallelFor(10, [&](size_t i) { sum += static_cast<int>(i); });
  EXPECT_EQ(sum, 45);
  release.set_value();
}

TEST(ThreadPoolTest, ParallelForNests) {
  ThreadPool pool("test", 2);
  std::atomic<int> leaves{0};
  pool.ParallelFor(8, [&](size_t) {
    pool.ParallelFor(8, [&](size_t) { pool.ParallelFor(4, [&](size_t) { ++leaves; }); });
  });
  EXPECT_EQ(leaves, 8 * 8 * 4);
}

TEST(ThreadPoolTest, ParallelForWorksFromManyThreads) {
  ThreadPool pool("test", 2);
  std::atomic<int> total{0};
  std::vector<std::thread> callers;
  callers.reserve(4);
  for (int t = 0; t < 4; ++t) {
    callers.emplace_back([&] {
      for (int round = 0; round < 200; ++round) {
        std::array<int, 5> local{};
        pool.ParallelFor(local.size(), [&](size_t i) { local[i] = 1; });
        for (const int one : local) total += one;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(total, 4 * 200 * 5);
}

TEST(ThreadPoolTest, TheDestructorFinishesWhatWasSubmitted) {
  std::atomic<int> ran{0};
  {
    ThreadPool pool("test", 1);
    for (int i = 0; i < 100; ++i) pool.Submit([&] { ++ran; });
  }
  EXPECT_EQ(ran, 100);
}

TEST(ThreadPoolTest, ATaskThatThrowsLeavesItsWorkerAlive) {
  ThreadPool pool("test", 1);
  pool.Submit([] { throw std::runtime_error("from a library"); });
  std::promise<int> answer;
  pool.Submit([&] { answer.set_value(42); });
  EXPECT_EQ(answer.get_future().get(), 42);
}

TEST(ThreadPoolTest, ZeroThreadsStillMeansOne) {
  ThreadPool pool("test", 0);
  EXPECT_EQ(pool.size(), 1U);
}

TEST(ThreadPoolTest, WorkersAreNamedAndLongNamesAreCut) {
  ThreadPool pool("a-name-that-is-too-long", 1);
  std::promise<std::string> name;
  pool.Submit([&] {
    std::array<char, 16> buffer{};
    pthread_getname_np(pthread_self(), buffer.data(), buffer.size());
    name.set_value(buffer.data());
  });
  EXPECT_EQ(name.get_future().get(), "a-name-that-is-");
}

}  // namespace
}  // namespace dedupfs
