// Every command, by the file that defines it.
#pragma once

#include "cli/commands/command.hpp"

namespace bryo::cli {

extern const Command kAttach, kCommit, kCompletion, kCopy, kCreate, kDiff, kDoctor, kEvents, kExec, kExport, kHistory,
    kImages, kImport, kInfo, kInspect, kKill, kLoad, kLogin, kLogout, kLogs, kPause, kPort, kPs, kPull, kPush, kRemove,
    kRemoveImage, kRename, kRestart, kRun, kSave, kSetup, kStart, kStats, kStop, kTag, kTop, kUnpause, kUpdate,
    kVersion, kWait;
extern const Command kContainerInspect, kContainerPrune, kImageInspect, kImagePrune;
extern const Command kNetworkConnect, kNetworkCreate, kNetworkDisconnect, kNetworkInspect, kNetworkList, kNetworkPrune,
    kNetworkRemove;
extern const Command kVolumeCreate, kVolumeInspect, kVolumeList, kVolumePrune, kVolumeRemove;
extern const Command kSystemDf, kSystemPrune;

}  // namespace bryo::cli
