// swift-tools-version: 6.2
import PackageDescription

let strictC: [CSetting] = [
  .enableWarning("all"), .enableWarning("extra"), .treatAllWarnings(as: .error),
]

let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let arguments = Target.Dependency.product(
  name: "ArgumentParser",
  package: "swift-argument-parser"
)

/// Tests of a library, which share the fixtures.
func tests(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .testTarget(name: name, dependencies: ["Fixtures"] + dependencies)
}

let package = Package(
  name: "tessera",
  products: [
    .executable(name: "tessera", targets: ["TesseraCommand"]),
    .executable(name: "tessera-bench", targets: ["TesseraBench"]),
    .library(
      name: "Tessera",
      targets: [
        "Tessera", "TesseraCore", "TesseraImages", "TesseraSequences", "TesseraCheckpoints",
        "TesseraTokenizers", "TesseraDatasets", "TesseraRules",
      ]
    ),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
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
      name: "CGIF",
      cSettings: strictC,
      linkerSettings: [.linkedLibrary("gif")]
    ),
    .target(
      name: "CWebP",
      cSettings: strictC,
      linkerSettings: [.linkedLibrary("webp"), .linkedLibrary("webpdemux")]
    ),
    .target(
      name: "CSentencePiece",
      linkerSettings: [.linkedLibrary("sentencepiece")]
    ),
    .target(name: "CKernels", cSettings: strictC),
    .target(name: "CRecipes", exclude: ["recipes"], cSettings: strictC),
    .target(name: "CTesseraF8", exclude: ["tessera-f8.h5"], cSettings: strictC),

    // MARK: Libraries: the ground, then the road of pictures and the road of weights
    .target(
      name: "TesseraCore",
      dependencies: [
        "CChecksums", "CCrash", "CFiles", "CKernels", "CLAPACK", "CSnappy", "CZlib", "CZstd",
        crypto,
      ]
    ),
    .target(
      name: "TesseraImages",
      dependencies: [
        "CGIF", "CJPEG", "CKernels", "CPNG", "CWebP", "TesseraCore",
        crypto,
      ]
    ),
    .target(name: "TesseraSequences", dependencies: ["CSentencePiece", "TesseraCore"]),
    .target(
      name: "TesseraCheckpoints",
      dependencies: ["CHDF5", "CKernels", "CZlib", "TesseraCore"]
    ),
    .target(
      name: "TesseraTokenizers",
      dependencies: [
        "CKernels", "CTesseraF8", "TesseraCheckpoints", "TesseraCore", "TesseraImages",
      ]
    ),
    .target(
      name: "TesseraDatasets",
      dependencies: [
        "CHDF5", "CKernels", "CZstd", "TesseraCheckpoints", "TesseraCore", "TesseraImages",
        "TesseraSequences",
        "TesseraTokenizers",
        crypto,
      ]
    ),
    .target(
      name: "TesseraRules",
      dependencies: [
        "CKernels", "CRecipes", "TesseraCheckpoints", "TesseraCore",
        crypto,
      ]
    ),
    .target(
      name: "TesseraStateSpaces",
      dependencies: ["CKernels", "TesseraCheckpoints", "TesseraCore", "TesseraRules"]
    ),
    .target(
      name: "TesseraDistillation",
      dependencies: ["CKernels", "TesseraCheckpoints", "TesseraCore", "TesseraRules"]
    ),

    // MARK: The way in: one import, the main road of each kind in one call
    .target(
      name: "Tessera",
      dependencies: [
        "TesseraCheckpoints", "TesseraCore", "TesseraDatasets", "TesseraImages", "TesseraRules",
        "TesseraSequences", "TesseraTokenizers",
      ]
    ),

    // MARK: Programs
    .executableTarget(
      name: "TesseraCommand",
      dependencies: [
        "CProcess", "TesseraCheckpoints", "TesseraCore", "TesseraDatasets", "TesseraDistillation",
        "TesseraImages", "TesseraRules", "TesseraSequences", "TesseraStateSpaces",
        "TesseraTokenizers",
        arguments,
      ]
    ),
    .executableTarget(
      name: "TesseraBench",
      dependencies: [
        "TesseraCheckpoints", "TesseraCore", "TesseraDatasets", "TesseraImages", "TesseraRules",
        "TesseraSequences", "TesseraTokenizers",
        arguments,
      ]
    ),

    // MARK: Tests
    .target(name: "Fixtures", path: "Tests/Fixtures"),
    tests("TesseraCoreTests", ["TesseraCheckpoints", "TesseraCore", "TesseraTokenizers"]),
    tests("TesseraImagesTests", ["CKernels", "TesseraCore", "TesseraImages"]),
    tests("TesseraSequencesTests", ["TesseraSequences"]),
    tests("TesseraCheckpointsTests", ["TesseraCheckpoints", "TesseraCore", crypto]),
    tests(
      "TesseraTokenizersTests",
      ["CKernels", "TesseraCore", "TesseraImages", "TesseraTokenizers"]
    ),
    tests(
      "TesseraDatasetsTests",
      ["TesseraCore", "TesseraDatasets", "TesseraImages", "TesseraTokenizers"]
    ),
    tests(
      "TesseraRulesTests",
      ["TesseraCheckpoints", "TesseraCore", "TesseraDistillation", "TesseraImages", "TesseraRules"]
    ),
    tests("TesseraStateSpacesTests", ["CKernels", "TesseraCore", "TesseraStateSpaces"]),
    // Like a program outside: what the documentation's programs need is public.
    .testTarget(
      name: "TesseraTests",
      dependencies: ["Fixtures", "Tessera"],
      packageAccess: false
    ),
    tests("TesseraCommandTests"),
    .target(
      name: "FuzzTargets",
      dependencies: [
        "TesseraCheckpoints", "TesseraCore", "TesseraDatasets", "TesseraImages", "TesseraRules",
        "TesseraSequences",
      ],
      path: "Tests/Fuzzing/Targets"
    ),
    tests("FuzzingTests", ["FuzzTargets", "TesseraCheckpoints", "TesseraDatasets"]),
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
      dependencies: [
        "CFuzzer", "CZlib", "FuzzTargets", "TesseraCheckpoints", "TesseraCore", "TesseraDatasets",
      ],
      path: "Tests/Fuzzing/Driver"
    ),
  ]
  for target in package.targets where [.regular, .executable].contains(target.type) {
    target.swiftSettings = (target.swiftSettings ?? []) + [.unsafeFlags(["-sanitize=fuzzer"])]
    target.cSettings = (target.cSettings ?? []) + [.unsafeFlags(["-fsanitize=fuzzer-no-link"])]
    target.cxxSettings = (target.cxxSettings ?? []) + [.unsafeFlags(["-fsanitize=fuzzer-no-link"])]
  }
}

// The C shims of pictures, what calls them and their tests, alone: `make test-shims` builds no more under AddressSanitizer.
if Context.environment["TESSERA_SHIMS"] != nil {
  let tested: Set<String> = [
    "CChecksums", "CCrash", "CFiles", "CGIF", "CJPEG", "CKernels", "CLAPACK", "CPNG", "CSnappy",
    "CWebP", "CZlib", "CZstd", "Fixtures", "TesseraCore", "TesseraImages", "TesseraImagesTests",
  ]
  package.products = []
  package.targets.removeAll { !tested.contains($0.name) }
}
