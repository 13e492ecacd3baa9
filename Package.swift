// swift-tools-version: 6.2
import PackageDescription

let strictC: [CSetting] = [
  .enableWarning("all"), .enableWarning("extra"), .treatAllWarnings(as: .error),
]

let package = Package(
  name: "tessera",
  products: [
    .executable(name: "tessera", targets: ["tessera"]),
    .library(name: "Tensors", targets: ["Tensors"]),
    .library(name: "Readers", targets: ["Readers"]),
    .library(name: "Tokenization", targets: ["Tokenization"]),
    .library(name: "Writers", targets: ["Writers"]),
    .library(name: "Conversion", targets: ["Conversion"]),
    .library(name: "Batches", targets: ["Batches"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
  ],
  targets: [
    // MARK: C
    .systemLibrary(
      name: "CHDF5System",
      pkgConfig: "hdf5-serial",
      providers: [.apt(["libhdf5-dev", "pkg-config"])]
    ),
    .target(name: "CHDF5", dependencies: ["CHDF5System"], cSettings: strictC),
    .systemLibrary(name: "CSnappy", pkgConfig: "snappy", providers: [.apt(["libsnappy-dev"])]),
    .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
    .target(name: "CChecksums", cSettings: strictC),
    .systemLibrary(name: "CLAPACK", providers: [.apt(["liblapack-dev"])]),
    .target(name: "CFiles", cSettings: strictC),
    .target(name: "CCrash", cSettings: strictC),
    .target(name: "CProcess", cSettings: strictC),
    .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
    .target(
      name: "CJPEG",
      cSettings: strictC,
      linkerSettings: [.linkedLibrary("jpeg")]
    ),
    .target(
      name: "CPNG",
      cSettings: strictC,
      linkerSettings: [.linkedLibrary("png")]
    ),
    .target(
      name: "CSentencePiece",
      linkerSettings: [.linkedLibrary("sentencepiece")]
    ),
    .target(name: "CKernels", cSettings: strictC),
    .target(name: "CRecipes", exclude: ["recipes"], cSettings: strictC),
    .target(name: "CTesseraF8", exclude: ["tessera-f8.h5"], cSettings: strictC),

    // MARK: Libraries, in the order in which data pass through them
    .target(name: "Tensors"),
    .target(
      name: "Readers",
      dependencies: [
        "CCrash", "CChecksums", "CHDF5", "CJPEG", "CKernels", "CPNG", "CSnappy", "CZlib", "CZstd",
        "Tensors",
        .product(name: "Crypto", package: "swift-crypto"),
      ]
    ),
    .target(
      name: "Tokenization",
      dependencies: ["CKernels", "CSentencePiece", "CTesseraF8", "Readers", "Tensors"]
    ),
    .target(
      name: "Writers",
      dependencies: [
        "CFiles", "CHDF5", "CPNG", "CZlib", "Readers", "Tensors", "Tokenization",
        .product(name: "Crypto", package: "swift-crypto"),
      ]
    ),
    .target(
      name: "Conversion",
      dependencies: [
        "CKernels", "CLAPACK", "CRecipes", "Readers", "Tensors", "Tokenization", "Writers",
        .product(name: "Crypto", package: "swift-crypto"),
      ]
    ),
    .target(
      name: "Batches",
      dependencies: [
        "Readers", "Tensors", "Tokenization", "Writers",
        .product(name: "Crypto", package: "swift-crypto"),
      ]
    ),

    // MARK: Program
    .executableTarget(
      name: "tessera",
      dependencies: [
        "Batches", "CProcess", "Conversion", "Readers", "Tensors", "Tokenization", "Writers",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
      ]
    ),

    // MARK: Tests
    .target(name: "Fixtures", path: "Tests/Fixtures"),
    .testTarget(name: "TensorsTests", dependencies: ["Fixtures", "Tensors"]),
    .testTarget(
      name: "ReadersTests",
      dependencies: [
        "CKernels", "Fixtures", "Readers", "Tensors",
        .product(name: "Crypto", package: "swift-crypto"),
      ]
    ),
    .testTarget(
      name: "TokenizationTests",
      dependencies: ["CKernels", "Fixtures", "Readers", "Tensors", "Tokenization", "Writers"]
    ),
    .testTarget(
      name: "WritersTests",
      dependencies: ["Fixtures", "Readers", "Tensors", "Tokenization", "Writers"]
    ),
    .testTarget(
      name: "ConversionTests",
      dependencies: ["Conversion", "Fixtures", "Readers", "Tensors", "Writers"]
    ),
    .testTarget(
      name: "BatchesTests",
      dependencies: ["Batches", "Fixtures", "Readers", "Tensors", "Tokenization", "Writers"]
    ),
    .testTarget(name: "tesseraTests", dependencies: ["Fixtures", "tessera"]),
    .target(
      name: "FuzzTargets",
      dependencies: ["Batches", "Conversion", "Readers", "Tensors", "Tokenization", "Writers"],
      path: "Tests/Fuzzing/Targets"
    ),
    .testTarget(
      name: "FuzzingTests",
      dependencies: ["Fixtures", "FuzzTargets", "Readers", "Tensors"]
    ),
  ],
  swiftLanguageModes: [.v6],
  cLanguageStandard: .c17,
  cxxLanguageStandard: .cxx17
)

for target in package.targets where [.regular, .executable, .test].contains(target.type) {
  target.swiftSettings = [
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),  // SE-0335
    .enableUpcomingFeature("InternalImportsByDefault"),  // SE-0409
    .enableUpcomingFeature("MemberImportVisibility"),  // SE-0444
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),  // SE-0461
  ]
  if target.type == .regular {
    target.swiftSettings?.append(.strictMemorySafety())  // SE-0458
  }
}

// The program that libFuzzer drives, and coverage in all of our own code: Tests/Fuzzing/run.sh sets this.
if Context.environment["TESSERA_FUZZING"] != nil {
  package.targets += [
    .systemLibrary(name: "CFuzzer", path: "Tests/Fuzzing/CFuzzer"),
    .executableTarget(
      name: "fuzz",
      dependencies: ["CFuzzer", "CZlib", "FuzzTargets", "Readers"],
      path: "Tests/Fuzzing/Driver"
    ),
  ]
  for target in package.targets where [.regular, .executable].contains(target.type) {
    target.swiftSettings = (target.swiftSettings ?? []) + [.unsafeFlags(["-sanitize=fuzzer"])]
    target.cSettings = (target.cSettings ?? []) + [.unsafeFlags(["-fsanitize=fuzzer-no-link"])]
    target.cxxSettings = (target.cxxSettings ?? []) + [.unsafeFlags(["-fsanitize=fuzzer-no-link"])]
  }
}
