#include "dist/launch.h"

#include <gtest/gtest.h>

#include <map>

#include "support/files.h"

namespace vit22b {
namespace {

Launcher detect(const std::map<std::string, std::string>& variables) {
  return detect_launcher([&](const char* name) {
    const auto it = variables.find(name);
    return it == variables.end() ? nullptr : it->second.c_str();
  });
}

const std::map<std::string, std::string> kOpenMpi = {{"OMPI_COMM_WORLD_RANK", "2"},
                                                     {"OMPI_COMM_WORLD_SIZE", "4"},
                                                     {"OMPI_COMM_WORLD_LOCAL_RANK", "0"},
                                                     {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}};

TEST(Launcher, OneProcessHasNone) {
  EXPECT_EQ(detect({}).text(), "none (one process)");
}

TEST(Launcher, EachIsKnownByItsVariables) {
  EXPECT_EQ(detect(kOpenMpi).text(), "OpenMPI: rank 2 of 4, 0 of 2 on this host");
  EXPECT_EQ(detect({{"RANK", "5"},
                    {"WORLD_SIZE", "8"},
                    {"LOCAL_RANK", "1"},
                    {"LOCAL_WORLD_SIZE", "4"},
                    {"MASTER_ADDR", "h"},
                    {"MASTER_PORT", "1"}})
                .text(),
            "torchrun: rank 5 of 8, 1 of 4 on this host");
  EXPECT_EQ(detect({{"PMI_RANK", "1"}, {"PMI_SIZE", "2"}}).text(),
            "PMI: rank 1 of 2, 0 of 1 on this host");
  EXPECT_EQ(detect({{"SLURM_PROCID", "3"}, {"SLURM_STEP_NUM_TASKS", "16"}, {"SLURM_LOCALID", "3"}})
                .text(),
            "SLURM: rank 3 of 16, 3 of 1 on this host");
}

// srun sets SLURM_NTASKS_PER_NODE only where --ntasks-per-node was given; a rank that took all
// cores would share them with the others of its host.
TEST(Launcher, SrunTellsHowManyRanksEachHostHas) {
  const auto of_node = [](const std::string& node, const std::string& counts) {
    return detect({{"SLURM_PROCID", "3"},
                   {"SLURM_STEP_NUM_TASKS", "14"},
                   {"SLURM_LOCALID", "0"},
                   {"SLURM_NODEID", node},
                   {"SLURM_STEP_TASKS_PER_NODE", counts}})
        .local_size;
  };
  EXPECT_EQ(of_node("0", "4"), 4);
  EXPECT_EQ(of_node("0", "4(x3),2"), 4);
  EXPECT_EQ(of_node("2", "4(x3),2"), 4);
  EXPECT_EQ(of_node("3", "4(x3),2"), 2);
  EXPECT_EQ(of_node("2", "1,2,3(x2)"), 3);
  EXPECT_EQ(detect({{"PMI_RANK", "1"},
                    {"PMI_SIZE", "4"},
                    {"SLURM_NODEID", "0"},
                    {"SLURM_STEP_TASKS_PER_NODE", "2(x2)"}})
                .local_size,
            2);
  EXPECT_EQ(test::error_of<UsageError>([&] { of_node("0", "many"); }),
            "the environment variable SLURM_STEP_TASKS_PER_NODE is 'many', want counts such as "
            "4(x2),3");
}

TEST(Launcher, TorchrunComesBeforeOpenMpiBeforePmiBeforeSlurm) {
  std::map<std::string, std::string> all = kOpenMpi;
  all.insert({{"SLURM_PROCID", "3"}, {"SLURM_STEP_NUM_TASKS", "16"}});
  all.insert({{"PMI_RANK", "1"}, {"PMI_SIZE", "2"}});
  EXPECT_EQ(detect(all).name, "OpenMPI");
  all.insert({{"RANK", "0"}, {"WORLD_SIZE", "2"}, {"LOCAL_WORLD_SIZE", "2"}});
  EXPECT_EQ(detect(all).name, "torchrun");
  all.clear();
  all.insert({{"SLURM_PROCID", "3"},
              {"SLURM_STEP_NUM_TASKS", "16"},
              {"PMI_RANK", "1"},
              {"PMI_SIZE", "2"}});
  EXPECT_EQ(detect(all).name, "PMI");
}

// sbatch sets some of srun's variables for the script itself.
TEST(Launcher, ABatchJobWithoutSrunIsOneProcess) {
  EXPECT_EQ(detect({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "4"}}).name, "");
}

TEST(Launcher, NonsenseIsAnErrorThatNamesTheVariable) {
  auto broken = kOpenMpi;
  broken["OMPI_COMM_WORLD_SIZE"] = "four";
  EXPECT_EQ(test::error_of<UsageError>([&] { detect(broken); }),
            "the environment variable OMPI_COMM_WORLD_SIZE is 'four', want a number");
  broken["OMPI_COMM_WORLD_SIZE"] = "2";
  EXPECT_EQ(test::error_of<UsageError>([&] { detect(broken); }),
            "OpenMPI says rank 2 of 2; are its variables left from another run?");
}

}  // namespace
}  // namespace vit22b
