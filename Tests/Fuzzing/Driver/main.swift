// The program that libFuzzer drives, built by run.sh alone. Its arguments are libFuzzer's, which starts the
// program again for parts of its work: so FUZZ_TARGET names the target. Without it the program lists them.

import CFuzzer
import Foundation
import FuzzTargets

let name = ProcessInfo.processInfo.environment["FUZZ_TARGET"]
guard let target = FuzzTarget.all.first(where: { $0.name == name }) else {
  print(FuzzTarget.all.map(\.name).joined(separator: "\n"))
  exit(name == nil ? 0 : 64)
}
Running.state = Running(target: target, folder: try FuzzFolder())
var count = CommandLine.argc
var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = CommandLine.unsafeArgv
exit(LLVMFuzzerRunDriver(&count, &arguments, runInput))
