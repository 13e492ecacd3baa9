import Foundation

/// Where tests find their files.
public enum Fixtures {
  /// The checkout's root.
  public static let root = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path

  /// The path of a file in `fixtures/`.
  public static func path(_ name: String) -> String { "\(root)/fixtures/\(name)" }

  /// Conformance files made by others, beside the checkout; nil where this machine has none.
  public static let sharedData: String? = {
    let named = ProcessInfo.processInfo.environment["TESSERA_SHARED_DATA"]
    let path = named ?? "\(root)/../shared/data"
    return FileManager.default.fileExists(atPath: path) ? path : nil
  }()

  /// The program, built by the same `swift build` as the tests.
  public static let program: String = {
    // The tests' bundle lies beside the program: .build/<triple>/release/tesseraPackageTests.xctest
    for argument in CommandLine.arguments where argument.contains(".xctest") {
      let folder = URL(filePath: argument).deletingLastPathComponent()
      return folder.appending(path: "tessera").path
    }
    return "\(root)/.build/release/tessera"
  }()
}
